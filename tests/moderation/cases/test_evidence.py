"""What cases need stays: it is neither let out nor deleted by the way, and legal holds last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gallery.duplicates import decisions as duplicate_decisions
from gallery.items import changing
from gallery.items.models import DuplicatePair, Image
from gallery.items.retention import Withheld
from imgsmlr_site.models import ApiKey, Scope
from moderation import tasks
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, media, retention
from moderation.cases.models import ReviewCase
from moderation.lists import list_writes
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.verdicts import Action
from tests import pages
from tests.factories import add_ready_image, photo, png
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import add, pdq_of
from tests.videos import library
from tests.videos.clips import encode, moving, timed
from videos.models import Video

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("clips_are_read_once", "plain_static_files"),
]
IMAGES, VIDEOS = "/admin/gallery/image/", "/admin/videos/video/"
API = "/api/v1/images/"


@pytest.fixture
def on() -> BannedList:
    return make_list("terror")


@pytest.fixture
def enter() -> Callable[..., Client]:
    """``enter(Role.LEAD)`` → a client of somebody who may change and delete images and videos."""

    def log_in(role: Role) -> Client:
        client, user = Client(), make_person(role, f"a-{role.name.lower()}")
        verbs = ("view", "change", "delete")
        names = [f"{verb}_{kind}" for verb in verbs for kind in ("image", "video")]
        user.user_permissions.add(*Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return log_in


def key_of(role: Role, *scopes: str) -> dict[str, str]:
    """The header of a key that is bound to somebody with the role."""
    _, text = ApiKey.issue(name=f"k-{role.name}", scopes=list(scopes), user=make_person(role))
    return {"HTTP_AUTHORIZATION": f"Bearer {text}"}


def moderator() -> Actor:
    return Actor.person(make_person(Role.MODERATOR))


def held(on: BannedList, seed: int = 1) -> tuple[Image, ReviewCase]:
    """An upload that the gate holds, with its case."""
    make_item(on, ("pdq", pdq_of(photo(seed)), 90))
    image = add(photo(seed))
    assert image.status == "quarantined"
    return image, ReviewCase.objects.get(image=image)


def doubtful(seed: int = 5) -> tuple[Image, ReviewCase]:
    """An upload that can be found although a case about it is open."""
    on = make_list(action=Action.REVIEW, hold_on_review=False)
    make_item(on, ("pdq", pdq_of(photo(seed)), 90))
    image = add(photo(seed))
    assert image.status == "ready"
    return image, ReviewCase.objects.get(image=image)


def chosen(action: str, *rows: Any) -> dict[str, Any]:
    return {"action": action, "_selected_action": [row.pk for row in rows]}


def told(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def status(row: Any) -> str:
    row.refresh_from_db()
    return str(row.status)


# --- Releasing ----------------------------------------------------------------------------


def test_a_bulk_release_leaves_out_what_cases_withhold(
    on: BannedList, enter: Callable[..., Client]
) -> None:
    """The tried case: a filter over all quarantined images, most of them banned."""
    free = add(photo(9))
    changing.quarantine_items(items=Image.objects.filter(pk=free.pk), by="test")
    opened, _ = held(on, 1)
    confirmed, case = held(on, 2)
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="confirm")
    lead, url = enter(Role.LEAD), f"{IMAGES}?status__exact=quarantined"
    body = {**chosen("release", free), "select_across": "1"}
    page = pages.shown(lead, url, body)
    text = page.content.decode()
    assert "Release 1 image" in text
    assert "2 images left out, withheld:" in text
    assert "1 by an undecided case" in text and "1 by a confirmed case" in text
    assert f"case {case.pk} is confirmed" in text
    assert 'name="override"' not in text  # for administrators
    answer = pages.confirm(lead, url, body, page, reason="looked at", override="on")
    assert told(answer)[0].startswith("1 image released.")
    assert "2 images left out" in told(answer)[1]
    assert [status(row) for row in (free, opened, confirmed)] == [
        "ready", "quarantined", "quarantined"
    ]  # fmt: skip
    event = AuditEvent.objects.filter(verb="image.released").get()
    assert (event.reason, event.subject_id) == ("looked at", free.pk)


def test_the_button_of_one_image_says_why_it_stays(
    on: BannedList, enter: Callable[..., Client]
) -> None:
    image, case = held(on)
    page = f"{IMAGES}{image.pk}/change/"
    lead = enter(Role.LEAD)
    assert f"case {case.pk} is open" in lead.get(page).content.decode()
    answer = lead.post(page, {"gallery_image_release_this": "1"}, follow=True)
    assert "1 image left out, withheld: 1 by an undecided case." in told(answer)[-1]
    assert status(image) == "quarantined"


def test_an_administrator_releases_it_with_a_reason(
    on: BannedList, enter: Callable[..., Client]
) -> None:
    image, case = held(on)
    admin, body = enter(Role.ADMIN), chosen("release", image)
    pages.confirm(admin, IMAGES, body, reason="", override="on")
    assert status(image) == "quarantined"
    pages.confirm(admin, IMAGES, body, reason="a court said so", override="on")
    assert status(image) == "ready"
    case.refresh_from_db()
    assert (case.state, case.held) == ("open", False)
    event = AuditEvent.objects.get(verb="image.withholding_overridden")
    assert (event.reason, event.before) == ("a court said so", f"case {case.pk} is open")
    assert event.actor == "user:a-admin"


def test_dismissing_releases_and_other_cases_withhold(on: BannedList) -> None:
    image, case = held(on)
    other = make_case(make_item(on), image, held=True)
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="dismiss")
    assert status(image) == "quarantined"
    deciding.decide(by=moderator(), case_ids=[other.pk], verb="dismiss")
    assert status(image) == "ready"


def test_undoing_a_quarantine_releases_nothing_that_a_case_withholds(
    on: BannedList, enter: Callable[..., Client]
) -> None:
    images = [add(photo(n)) for n in (1, 2)]
    lead = enter(Role.LEAD)
    done = pages.confirm(lead, IMAGES, chosen("quarantine", *images))
    page = told(done)[0].split('"')[1]
    case = make_case(make_item(on), images[0], held=True)
    assert f"case {case.pk} is open" in lead.get(page).content.decode()
    answer = pages.undo(lead, page)
    assert "undone: 1 image." in told(answer)[0]
    assert "1 image left out, withheld: 1 by an undecided case." in told(answer)[1]
    assert [status(row) for row in images] == ["quarantined", "ready"]
    assert case.held


# --- Deleting -----------------------------------------------------------------------------


def under_a_hold() -> tuple[Image, ReviewCase]:
    image, case = doubtful()
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="dismiss")
    retention.set_hold(by=ADMIN, case_ids=[case.pk], reason="court order 7")
    return image, case


def by_hand() -> tuple[Image, None]:
    image = add(photo(8))
    changing.quarantine_items(items=Image.objects.filter(pk=image.pk), by="test")
    return image, None


NEEDED: list[Callable[[], tuple[Image, Any]]] = [
    lambda: held(make_list()), doubtful, under_a_hold, by_hand,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("make", NEEDED, ids=["held", "open", "legal hold", "quarantine"])
def test_what_is_needed_is_not_deleted(
    make: Callable[[], tuple[Image, Any]], enter: Callable[..., Client], client: Client
) -> None:
    image, _ = make()
    key = key_of(Role.LEAD, Scope.ADD, Scope.SEARCH, Scope.MODERATE)
    for path in (f"{API}{image.pk}/", f"{API}?md5={image.md5}"):
        answer = client.delete(path, **key)
        assert (answer.status_code, answer.json()["code"]) == (409, "withheld")
        assert client.delete(f"{path}{'&' if '?' in path else '?'}override=true", **key
                             ).status_code == 403  # fmt: skip
    with pytest.raises(Withheld):
        changing.delete_items(items=Image.objects.all(), by="test")
    free = add(photo(20))
    lead, body = enter(Role.LEAD), chosen("delete_selected", image, free)
    page = pages.shown(lead, IMAGES, body)
    assert "1 image left out, withheld: 1 by" in page.content.decode()
    answer = pages.confirm(lead, IMAGES, body, page)
    assert told(answer)[0] == "1 image deleted."
    assert list(Image.objects.all()) == [image]
    only = lead.get(f"{IMAGES}{image.pk}/delete/", follow=True)
    assert "left out" in told(only)[-1]


def test_who_may_not_see_cases_is_not_told_of_them(client: Client) -> None:
    image, case = doubtful()
    _, text = ApiKey.issue(name="uploads", scopes=[Scope.ADD, Scope.SEARCH])
    Image.objects.update(added_by="key:uploads")
    answer = client.delete(f"{API}{image.pk}/", HTTP_AUTHORIZATION=f"Bearer {text}")
    detail = answer.json()["detail"]
    assert answer.status_code == 409
    assert "case" not in detail and str(case.pk) not in detail.replace(str(image.pk), "")
    telling = key_of(Role.LEAD, Scope.ADD, Scope.SEARCH, Scope.MODERATE)
    assert (
        f"case {case.pk} is open" in client.delete(f"{API}{image.pk}/", **telling).json()["detail"]
    )


@pytest.mark.parametrize("make", NEEDED, ids=["held", "open", "legal hold", "quarantine"])
def test_an_administrator_deletes_it_and_the_case_keeps_its_picture(
    make: Callable[[], tuple[Image, Any]],
    client: Client,
    django_capture_on_commit_callbacks: Any,
) -> None:
    image, case = make()
    key = key_of(Role.ADMIN, Scope.ADD, Scope.SEARCH, Scope.MODERATE)
    path, files = f"{API}{image.pk}/", [image.original.name, image.thumbnail.name]
    assert client.delete(f"{path}?override=true", **key).json()["field"] == "reason"
    assert client.delete(f"{path}?override=maybe", **key).status_code == 400
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.delete(f"{path}?override=true&reason=erased+by+law", **key)
    assert answer.status_code == 204
    assert not Image.objects.exists() and not any(map(default_storage.exists, files))
    event = AuditEvent.objects.get(verb="image.deleted")
    assert event.reason == "erased by law"
    assert AuditEvent.objects.filter(verb="image.withholding_overridden").exists()
    if case is not None:
        case.refresh_from_db()
        assert case.image is None and case.evidence["sha256"] == image.sha256
        assert case.evidence["deleted"]["image"] == image.pk
        assert media.subject_pixels(case).shape[:2] == (120, 160)


def test_a_list_of_hashes_alone_keeps_no_picture(client: Client) -> None:
    image, case = held(make_list(hash_only=True))
    changing.delete_items(items=Image.objects.all(), by="test", reason="x", override=True)
    case.refresh_from_db()
    assert not case.picture and case.evidence["deleted"]["image"] == image.pk
    assert not [name for name in default_storage.listdir("")[0] if name == "cases"]


def test_videos_are_withheld_too(
    on: BannedList, enter: Callable[..., Client], client: Client
) -> None:
    video = library.add_ready(encode(timed(moving("coffee", 1))))
    free = library.add_ready(encode(timed(moving("chelsea", 1))))
    Video.objects.filter(pk=free.pk).update(status="quarantined")
    case = make_case(make_item(on), video=video, held=True)
    lead = enter(Role.LEAD)
    for action in ("quarantine", "release"):
        pages.confirm(lead, VIDEOS, chosen(action, video, free))
    assert (status(video), status(free)) == ("quarantined", "ready")
    key = key_of(Role.ADMIN, Scope.ADD, Scope.SEARCH, Scope.MODERATE)
    path = f"/api/v1/videos/{video.pk}/"
    answer = client.delete(path, **key)
    assert answer.status_code == 409 and f"case {case.pk} is open" in answer.json()["detail"]
    assert client.delete(f"{path}?override=true&reason=x", **key).status_code == 204
    case.refresh_from_db()
    assert case.video is None and media.subject_pixels(case).size


def test_merging_leaves_out_what_a_case_needs(enter: Callable[..., Client]) -> None:
    image, case = doubtful()
    keep, copy = add(photo(21)), add(photo(22))
    for other in (copy, image):
        a, b = sorted([keep, other], key=lambda row: row.pk)
        DuplicatePair.objects.create(a=a, b=b, confidence=0.99)
    with pytest.raises(Withheld):
        duplicate_decisions.merge_copies(keep=keep.pk, copies=[copy.pk, image.pk], by="t")
    cluster = min(row.pk for row in (keep, copy, image))
    form = {
        "action": "merge", "cluster": cluster, f"keep-{cluster}": keep.pk,
        f"copy-{cluster}": [copy.pk, image.pk],
    }  # fmt: skip
    url, admin = reverse("admin:gallery_duplicatepair_changelist"), enter(Role.ADMIN)
    page = admin.post(url, form)
    assert page.context["count"] == 1
    assert f"image {image.pk}: case {case.pk} is open" in page.content.decode()
    refused = admin.post(url, {**form, "confirmed": "1"}, follow=True)
    assert "give a reason" in told(refused)[0]
    sure = {**form, f"copy-{cluster}": [copy.pk], "confirmed": "1", "reason": "copies"}
    assert "1 image of 1 cluster merged." in told(admin.post(url, sure, follow=True))
    assert set(Image.objects.all()) == {keep, image}


@pytest.mark.parametrize("kind", ["open", "legal hold"])
def test_a_list_is_not_deleted_while_cases_need_its_items(
    kind: str, enter: Callable[..., Client]
) -> None:
    on = make_list("terror")
    case = make_case(make_item(on))
    if kind == "legal hold":
        deciding.decide(by=moderator(), case_ids=[case.pk], verb="dismiss")
        retention.set_hold(by=ADMIN, case_ids=[case.pk], reason="court order 7")
    admin = enter(Role.ADMIN)
    path = f"/api/v1/moderation/lists/{on.pk}/?with_items=true"
    answer = admin.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "withheld")
    assert admin.delete(f"{path}&override=true").json()["field"] == "reason"
    assert admin.delete(f"{path}&override=true&reason=x").status_code == 204
    assert AuditEvent.objects.get(verb="list.deleted").before["needed_by"] == [case.pk]


def test_a_list_whose_cases_are_over_is_deleted(on: BannedList) -> None:
    case = make_case(make_item(on))
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="confirm")
    list_writes.delete_list(by=ADMIN, list_id=on.pk, with_items=True)
    assert not BannedItem.objects.exists()


# --- Originals that are not to be kept ----------------------------------------------------


def test_an_original_stays_as_long_as_a_case_needs_it(settings: Any) -> None:
    settings.KEEP_ORIGINALS = "none"
    inline = ("imgsmlr", "pdq", "copy")
    on = make_list(action=Action.REVIEW, hold_on_review=False)
    make_item(on, ("pdq", pdq_of(photo(1)), 90))
    image = add_ready_image(data=png(photo(1)), inline=inline)
    other = add_ready_image(data=png(photo(2)), inline=inline)
    assert image.status == "ready" and image.original and not other.original
    case = ReviewCase.objects.get(image=image)
    retention.set_hold(by=ADMIN, case_ids=[case.pk], reason="court order 7")
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="dismiss")
    assert tasks.forget_originals() == 0
    retention.lift_hold(by=ADMIN, case_ids=[case.pk], reason="it is over")
    assert tasks.forget_originals() == 1
    image.refresh_from_db()
    assert not image.original and image.thumbnail


# --- Legal holds --------------------------------------------------------------------------


def test_a_hold_ends_by_itself() -> None:
    image, case = doubtful()
    deciding.decide(by=moderator(), case_ids=[case.pk], verb="dismiss")
    soon = timezone.now() + timedelta(hours=1)
    retention.set_hold(by=ADMIN, case_ids=[case.pk], reason="court order 7", until=soon)
    with pytest.raises(Withheld):
        changing.delete_items(items=Image.objects.all(), by="test")
    ReviewCase.objects.update(legal_hold_until=timezone.now() - timedelta(seconds=1))
    case.refresh_from_db()
    assert not case.is_on_legal_hold
    assert changing.delete_items(items=Image.objects.all(), by="test") == 1
    assert image.pk


def test_a_hold_by_the_api(on: BannedList, client: Client) -> None:
    case = make_case(make_item(on))
    path = f"/api/v1/moderation/cases/{case.pk}/legal_hold/"
    lead, other = key_of(Role.LEAD, Scope.MODERATE), key_of(Role.MODERATOR, Scope.MODERATE)

    def post(url: str, body: dict[str, Any], key: dict[str, str] = lead) -> Any:
        return client.post(url, body, content_type="application/json", **key)

    assert post(path, {"reason": "x"}, other).status_code == 403
    assert post(path, {}).json()["field"] == "reason"
    assert post(path, {"reason": "x", "until": "2020-01-01T00:00:00Z"}).json()["field"] == "until"
    assert post(f"{path}lift/", {"reason": "x"}).status_code == 409
    shown = post(path, {"reason": "court order 7", "until": "2999-01-01T00:00:00Z"})
    assert shown.status_code == 200
    body = shown.json()
    assert (body["legal_hold"], body["legal_hold_reason"]) == (True, "court order 7")
    assert body["legal_hold_until"].startswith("2999-01-01")
    assert post(f"{path}lift/", {"reason": "over"}, other).status_code == 403
    assert post(f"{path}lift/", {"reason": "over"}).json()["legal_hold"] is False
    told = AuditEvent.objects.filter(subject="moderation.reviewcase").values_list("verb", "reason")
    assert list(told.order_by("pk")) == [
        ("case.legal_hold_set", "court order 7"),
        ("case.legal_hold_lifted", "over"),
    ]
    assert post("/api/v1/moderation/cases/999999/legal_hold/", {"reason": "x"}).status_code == 404


def test_a_hold_in_the_console(on: BannedList, enter: Callable[..., Client]) -> None:
    case = make_case(make_item(on))
    page, act = (reverse(f"console:{name}", args=[case.pk]) for name in ("case", "legal-hold"))
    bob = enter(Role.MODERATOR)
    assert "Legal hold" not in bob.get(page).content.decode()
    assert bob.post(act, {"do": "set", "reason": "x"}).status_code == 403
    lead = enter(Role.LEAD)
    for bad in (
        {"do": "set"},
        {"do": "x", "reason": "x"},
        {"do": "set", "reason": "x", "until": "?"},
    ):
        assert "Nothing was changed" in told(lead.post(act, bad, follow=True))[0]
    lead.post(act, {"do": "set", "reason": "court order 7", "until": "2999-01-31"})
    case.refresh_from_db()
    assert f"{case.legal_hold_until:%Y-%m-%d %H:%M}" == "2999-01-31 23:59"
    for client in (lead, bob):
        text = client.get(page).content.decode()
        assert "legal hold until 2999-01-31" in text and "court order 7" in text
    lead.post(act, {"do": "lift", "reason": "over"})
    case.refresh_from_db()
    assert not case.legal_hold


def test_holds_of_many_in_the_admin(on: BannedList, enter: Callable[..., Client]) -> None:
    url = reverse("admin:moderation_reviewcase_changelist")
    cases = [make_case(make_item(on)) for _ in range(3)]
    lead, body = enter(Role.LEAD), chosen("set_legal_hold", *cases[:2])
    page = pages.shown(lead, url, body)
    ReviewCase.objects.filter(pk=cases[0].pk).update(state="escalated")
    assert "has changed" in pages.confirm(lead, url, body, page).content.decode()
    assert told(pages.confirm(lead, url, body, reason="court order 7")) == [
        "2 cases under a legal hold."
    ]
    found = lead.get(url, {"hold": "1", "state__exact": ["open", "escalated"]}).context["cl"]
    assert {case.pk for case in found.result_list} == {case.pk for case in cases[:2]}
    event = AuditEvent.objects.get(verb="case.legal_hold_set")
    assert (event.count, event.after["ids"]) == (2, [case.pk for case in cases[:2]])
    pages.confirm(lead, url, chosen("lift_legal_hold", *cases), reason="over")
    assert not ReviewCase.objects.filter(legal_hold=True).exists()
    moderator = enter(Role.MODERATOR)
    assert "set_legal_hold" not in moderator.get(url).content.decode()


def test_a_case_that_changed_since_the_page_is_asked_about_again(
    on: BannedList, enter: Callable[..., Client]
) -> None:
    case = make_case(make_item(on))
    lead, url = enter(Role.LEAD), reverse("console:bulk")
    body = {"verb": "confirm", "cases": str(case.pk)}
    page = lead.post(url, body)
    ReviewCase.objects.update(state="escalated")
    again = lead.post(url, {**body, "confirmed": page.context["token"], "reason": ""})
    assert "has changed" in again.content.decode()
    case.refresh_from_db()
    assert case.state == "escalated"
    lead.post(url, {**body, "confirmed": again.context["token"], "reason": ""})
    case.refresh_from_db()
    assert case.state == "confirmed"
