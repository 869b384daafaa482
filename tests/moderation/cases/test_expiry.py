"""Files of what was quarantined long ago are deleted; hashes, decisions and legal holds stay."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gallery import tasks as gallery_tasks
from gallery.items import changing, reprocessing
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from gallery.items.retention import Withheld
from moderation import tasks
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, retention, undoing
from moderation.cases.models import DecisionBatch, ReviewCase
from moderation.cases.states import CaseState
from tests.factories import add_ready_image, jpeg, owned_files, photo, stored_files
from tests.moderation.factories import make_case, make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import add, pdq_of
from tests.videos import library
from tests.videos.clips import encode, moving, timed

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("clips_are_read_once", "plain_static_files"),
]


@pytest.fixture(autouse=True)
def _thirty_days(settings: Any) -> None:
    settings.QUARANTINE_DAYS = 30


@pytest.fixture
def run(django_capture_on_commit_callbacks: Any) -> Any:
    def both() -> tuple[int, int]:
        with django_capture_on_commit_callbacks(execute=True):
            return gallery_tasks.delete_expired_media(), tasks.delete_expired_pictures()

    return both


def age(row: Any, days: float) -> None:
    past = timezone.now() - timedelta(days=days)
    type(row).objects.filter(pk=row.pk).update(quarantined_at=past)
    row.refresh_from_db()


def held(seed: int = 1, days: float = 31) -> tuple[Image, ReviewCase]:
    """An upload that was held so long ago, and its case, which is confirmed."""
    make_item(make_list(), ("pdq", pdq_of(photo(seed)), 90))
    image = add(photo(seed))
    assert image.status == "quarantined"
    age(image, days)
    case = ReviewCase.objects.get(image=image)
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="confirm", reason="same")
    case.refresh_from_db()
    assert case.state == CaseState.CONFIRMED
    return image, case


def moderator() -> Actor:
    return Actor.person(make_person(Role.LEAD))


def test_files_go_and_hashes_stay(run: Any, settings: Any) -> None:
    image, case = held()
    younger, _ = held(2, days=29)
    ready = add_ready_image(photo(3))
    kept = sorted(owned_files(younger) + owned_files(ready))
    hashes = (image.md5, image.sha256)
    assert len(owned_files(image)) == 2

    assert run() == (1, 0)
    image.refresh_from_db()
    assert stored_files(settings.MEDIA_ROOT) == kept
    assert (image.status, image.md5, image.sha256) == ("quarantined", *hashes)
    assert image.media_deleted_at is not None
    assert ImageFingerprint.objects.filter(item=image, pdq__isnull=False).exists()
    assert not ImageDetail.objects.filter(fingerprint__item=image).exists()
    event = AuditEvent.objects.filter(verb="image.files_deleted").get()
    assert (event.subject_id, event.actor, event.reason) == (
        image.pk,
        "worker",
        "QUARANTINE_DAYS=30",
    )
    # The same bytes stay out, and nothing is tried again.
    case.refresh_from_db()
    assert case.state == CaseState.CONFIRMED
    assert run() == (0, 0)
    Image.objects.filter(pk=image.pk).update(pictures_version=0)
    assert reprocessing.reprocess_some() == 0


def test_nothing_is_deleted_by_default(run: Any, settings: Any) -> None:
    image, _ = held()
    settings.QUARANTINE_DAYS = 0
    assert run() == (0, 0)
    assert len(owned_files(image)) == 2


def test_legal_holds_and_undecided_cases_keep_files(run: Any) -> None:
    _, case = held()
    retention.set_hold(by=moderator(), case_ids=[case.pk], reason="police")
    other = make_case(make_item(make_list(), ("md5", "0" * 32)), add_ready_image(photo(7)))
    changing.quarantine_items(items=Image.objects.filter(pk=other.image_id), by="test")
    age(other.image, 40)
    assert run() == (0, 0)
    retention.lift_hold(by=moderator(), case_ids=[case.pk], reason="over")
    assert run() == (1, 0)
    assert len(owned_files(other.image)) == 2


def test_what_has_no_files_is_not_released(run: Any) -> None:
    """Neither by hand, nor because a decision is undone."""
    image, case = held()
    run()
    with pytest.raises(Withheld):
        changing.release_items(items=Image.objects.filter(pk=image.pk), by="test")
    batch = DecisionBatch.objects.get(decisions__case=case)
    undoing.undo_batches(by=moderator(), batch_ids=[batch.pk], reason="wrong")
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="dismiss", reason="different")
    image.refresh_from_db()
    assert image.status == "quarantined"
    changing.delete_items(
        items=Image.objects.filter(pk=image.pk), by="test", reason="gone", override=True
    )


def test_videos(run: Any, settings: Any) -> None:
    video = library.add_ready(encode(timed(moving("coffee", 1))))
    changing.quarantine_items(items=type(video).objects.filter(pk=video.pk), by="test")
    age(video, 31)
    assert run() == (1, 0)
    video.refresh_from_db()
    assert stored_files(settings.MEDIA_ROOT) == []
    assert (video.original.name, video.thumbnail.name, video.proxy.name) == ("", "", "")
    assert video.frames.exists()


def test_pictures_of_decided_cases(run: Any, settings: Any) -> None:
    """Of contents that were only checked. A shared file stays while another case names it."""
    name = default_storage.save("cases/aa/a.jpg", ContentFile(jpeg(photo(1))))
    item = make_item(make_list(), ("md5", "0" * 32))
    long_ago = timezone.now() - timedelta(days=31)
    decided = {"state": CaseState.CONFIRMED, "decided_at": long_ago, "picture": name}
    first, second = (make_case(item, **decided) for _ in range(2))
    open_case = make_case(item, picture=name)
    recent = make_case(item, **{**decided, "decided_at": timezone.now()})
    retention.set_hold(by=moderator(), case_ids=[second.pk], reason="police")

    assert run() == (0, 1)
    rows = dict(ReviewCase.objects.values_list("pk", "picture"))
    assert rows == {first.pk: "", second.pk: name, open_case.pk: name, recent.pk: name}
    assert stored_files(settings.MEDIA_ROOT) == [name]
    ReviewCase.objects.exclude(pk=second.pk).update(picture="")
    retention.lift_hold(by=moderator(), case_ids=[second.pk], reason="over")
    assert run() == (0, 1)
    assert stored_files(settings.MEDIA_ROOT) == []
    assert AuditEvent.objects.filter(verb="case.picture_deleted").count() == 2


def test_pictures_that_cases_keep_of_an_item(run: Any, settings: Any) -> None:
    _, case = held()
    case.picture = default_storage.save("cases/bb/b.jpg", ContentFile(b"jpeg"))
    case.save()
    assert run() == (1, 0)
    assert stored_files(settings.MEDIA_ROOT) == []


def test_the_page_of_the_item_says_it(run: Any, client: Client) -> None:
    image, case = held()
    client.force_login(make_person(Role.ADMIN, "boss"))
    due = f"{image.quarantined_at + timedelta(days=30):%Y-%m-%d}"
    page = f"/admin/gallery/image/{image.pk}/change/"
    assert f"The files will be deleted on {due}" in client.get(page).content.decode()
    retention.set_hold(by=moderator(), case_ids=[case.pk], reason="police")
    assert f"but kept: case {case.pk} is under a legal hold" in client.get(page).content.decode()
    retention.lift_hold(by=moderator(), case_ids=[case.pk], reason="over")
    run()
    said = f"Deleted on {timezone.now():%Y-%m-%d}. Hashes and vectors are kept."
    assert said in client.get(reverse("console:case", args=[case.pk])).content.decode()
    text = client.get(page).content.decode()
    assert said in text
    assert "Its files were deleted." in text
    assert not Path(image.original.path).exists()
