"""Items: what is stored of hashes, pictures and images, and what is not of hash-only lists."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.utils import timezone
from django_q.models import OrmQ
from PIL import Image as Pillow

from gallery.imaging import descriptors
from gallery.imaging.decoding.limits import NotAnImage
from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items import changing, embedding
from gallery.items.models import Image
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.lists import item_adding, item_changing, item_pictures, list_writes
from moderation.lists.item_reading import InvalidHash
from moderation.lists.item_vectors import as_array
from moderation.lists.models import BannedFingerprint, BannedHash, BannedItem, RetroScan
from tests import factories as make
from tests.moderation.factories import ADMIN, make_list, make_person

pytestmark = pytest.mark.django_db

A, B = "a1" * 32, "b2" * 32


def hashes_of(item: BannedItem) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, value in item.hashes.order_by("id").values_list("kind", "value"):
        found.setdefault(kind, []).append(value)
    return found


def versions_of(item: BannedItem) -> set[tuple[str, str]]:
    return set(item.fingerprints.values_list("view", "version"))


def test_an_item_of_hashes_alone() -> None:
    row = make_list("terror")
    item = item_adding.add_hashes(
        by=ADMIN,
        list_id=row.pk,
        hashes=[("sha256", A.upper(), None), ("pdq", B, 80), ("md5", "c3" * 16, None)],
        source="NCMEC",
        source_id="7",
        tags=["a", "b"],
        note="seen before",
        reason="reported",
    )
    assert hashes_of(item) == {"sha256": [A], "pdq": [B], "md5": ["c3" * 16]}
    assert item.hashes.get(kind="pdq").quality == 80
    assert (item.added_by, item.media, item.picture.name) == ("command", "unknown", "")
    row.refresh_from_db()
    assert row.version == 2
    (event,) = AuditEvent.objects.all()
    assert (event.verb, event.subject_id, event.count) == ("item.added", item.pk, 1)
    assert event.after["hashes"] == [f"md5:{'c3' * 16}", f"pdq:{B}", f"sha256:{A}"]
    (scan,) = RetroScan.objects.all()
    assert (scan.list_id, scan.item_id) == (row.pk, item.pk)


@pytest.mark.parametrize(
    ("hashes", "sentence"),
    [
        ([], "at least one"),
        ([("sha256", "a1", None)], "64 hex digits"),
        ([("sha256", "z" * 64, None)], "other characters"),
        ([("sha512", A, None)], "none of md5"),
        ([("pdq", "0" * 64, None)], "repeated digit"),
        ([("pdq", A, 101)], "0 to 100"),
        ([("md5", "a1" * 16, 90)], "has a quality"),
        ([("sha256", hashlib.sha256(b"").hexdigest(), None)], "empty file"),
    ],
)
def test_what_is_no_hash(hashes: list[Any], sentence: str) -> None:
    with pytest.raises(InvalidHash, match=sentence):
        item_adding.add_hashes(by=ADMIN, list_id=make_list().pk, hashes=hashes)
    assert not BannedItem.objects.exists()
    assert not AuditEvent.objects.exists()


def test_facts_are_checked() -> None:
    row = make_list()
    for facts in ({"source": "x" * 256}, {"media": "sound"}, {"expires_at": "tomorrow"}):
        with pytest.raises(UserError) as caught:
            item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None)], **facts)
        assert caught.value.field == next(iter(facts))
    with pytest.raises(TypeError, match="colour"):
        item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None)], colour="red")
    assert not BannedItem.objects.exists()


def test_the_same_is_on_a_list_once() -> None:
    row, other = make_list(), make_list()
    first = item_adding.add_hashes(
        by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None), ("pdq", B, None)]
    )
    for hashes in ([("sha256", A, None)], [("pdq", B, None)], [("pdq", B, 9), ("sha256", A, None)]):
        with pytest.raises(Conflict) as caught:
            item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=hashes)
        assert caught.value.existing_id == first.pk
    # More is said of it, or on another list: that is another item.
    item_adding.add_hashes(
        by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None), ("sha256", B, None)]
    )
    item_adding.add_hashes(by=ADMIN, list_id=other.pk, hashes=[("sha256", A, None)])
    assert BannedItem.objects.count() == 3


def test_an_entry_of_a_source_is_on_a_list_once() -> None:
    row = make_list()
    entry = {"source": "NCMEC", "source_id": "7"}
    item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None)], **entry)
    with pytest.raises(Conflict, match="entry 7 of NCMEC"):
        item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=[("sha256", B, None)], **entry)


def test_a_batch_succeeds_or_fails_row_by_row_and_is_one_event() -> None:
    row = make_list()
    added = item_adding.add_batch(
        by=ADMIN,
        list_id=row.pk,
        rows=[
            {"hashes": [("sha256", A, None)], "source": "us"},
            {"hashes": [("sha256", "bad", None)]},
            {"hashes": [("sha256", A, None)]},
            {"hashes": [("pdq", B, 77)]},
        ],
    )
    assert len(added.items) == 2
    assert sorted(added.refused) == [1, 2]
    assert isinstance(added.refused[2], Conflict)
    (event,) = AuditEvent.objects.all()
    assert (event.verb, event.count) == ("items.added", 2)
    assert RetroScan.objects.get().after_item == added.items[0].pk - 1
    row.refresh_from_db()
    assert row.version == 2


def test_a_batch_of_nothing_good_changes_nothing() -> None:
    row = make_list()
    added = item_adding.add_batch(by=ADMIN, list_id=row.pk, rows=[{"hashes": []}])
    assert added.items == []
    assert not AuditEvent.objects.exists()
    row.refresh_from_db()
    assert row.version == 1


def test_a_picture_is_stored_with_all_that_finds_it() -> None:
    row = make_list()
    data = make.png(make.photo(1, (1600, 1200)))
    item = item_adding.add_picture(by=ADMIN, list_id=row.pk, data=data, note="x")
    found = hashes_of(item)
    assert found["md5"] == [hashlib.md5(data).hexdigest()]
    assert found["sha1"] == [hashlib.sha1(data).hexdigest()]
    assert found["sha256"] == [hashlib.sha256(data).hexdigest()]
    assert len(found["pdq"]) == 1
    assert item.media == "image"
    with item.picture.open() as stream:
        kept = Pillow.open(io.BytesIO(stream.read()))
    assert (kept.format, kept.size) == ("JPEG", (1024, 768))
    assert versions_of(item) == {("full", PIXELS_VERSION), ("full", COPY_VERSION)}
    pixels = item.fingerprints.get(version=PIXELS_VERSION)
    assert len(pixels.haar) == 16
    assert pixels.pattern is not None
    copy = item.fingerprints.get(version=COPY_VERSION)
    assert copy.cnn is not None
    assert len(bytes(copy.features)) > 100
    # The same numbers as those of the gallery, so that they can be compared.
    image = make.add_ready_image(data=data)
    stored = image.fingerprints.get(version=PIXELS_VERSION)
    assert (stored.pdq, stored.pdq_quality) == (pixels.pdq, pixels.pdq_quality)
    assert item.hashes.get(kind="pdq").quality == pixels.pdq_quality


def test_a_hash_of_low_quality_is_kept_with_its_quality() -> None:
    blurred = Pillow.linear_gradient("L").resize((160, 120)).convert("RGB")
    item = item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=make.png(blurred))
    pdq = item.hashes.get(kind="pdq")
    assert pdq.quality is not None
    assert pdq.quality < 50


def test_a_flat_picture_has_exact_hashes_alone() -> None:
    item = item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=make.png(make.flat()))
    assert sorted(hashes_of(item)) == ["md5", "sha1", "sha256"]
    assert item.picture.name


def test_every_distinct_frame_of_an_animation_counts() -> None:
    frames = [make.photo(seed) for seed in (1, 1, 2, 3)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    item = item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=out.getvalue())
    assert len(hashes_of(item)["pdq"]) == 3
    views = {view for view, _ in versions_of(item)}
    assert len(views) == 3
    assert all(view == "full" or view.startswith("frame-") for view in views)


def test_what_is_no_picture() -> None:
    with pytest.raises(NotAnImage):
        item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=b"no picture")
    assert not BannedItem.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_hash_only_list_leaves_no_media(settings: Any) -> None:
    row = make_list(hash_only=True)
    data = make.png(make.photo(1))
    item = item_adding.add_picture(by=ADMIN, list_id=row.pk, data=data)
    image = make.add_ready_image(make.photo(2))
    from_gallery = item_adding.add_stored(by=ADMIN, list_id=row.pk, kind="image", item_id=image.pk)
    assert len(hashes_of(item)["pdq"]) == len(hashes_of(from_gallery)["pdq"]) == 1
    assert (item.picture.name, from_gallery.picture.name) == ("", "")
    assert not BannedFingerprint.objects.exists()
    changing.delete_items(items=Image.objects.all(), by="tests")
    roots = [Path(settings.MEDIA_ROOT), Path(django_settings.DATA_DIR) / "media"]
    assert [path for root in roots for path in root.rglob("*.jpg")] == []
    signatures = (data[:64], b"\xff\xd8\xff")
    assert [
        path
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and path.read_bytes().startswith(signatures)
    ] == []


@pytest.mark.django_db(transaction=True)
def test_a_list_that_becomes_hash_only_forgets_its_media(settings: Any) -> None:
    row = make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=row.pk, data=make.png(make.photo(1)))
    assert make.stored_files(settings.MEDIA_ROOT) == [item.picture.name]
    list_writes.change_list(by=ADMIN, list_id=row.pk, hash_only=True)
    assert make.stored_files(settings.MEDIA_ROOT) == []
    item.refresh_from_db()
    assert item.picture.name == ""
    assert not item.fingerprints.exists()
    assert len(hashes_of(item)["pdq"]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_picture_that_cannot_be_stored_leaves_no_file(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_list()

    def broken(**_: Any) -> None:
        raise RuntimeError("the audit cannot be written")

    monkeypatch.setattr(trail, "record", broken)
    with pytest.raises(RuntimeError):
        item_adding.add_picture(by=ADMIN, list_id=row.pk, data=make.png(make.photo(1)))
    assert make.stored_files(settings.MEDIA_ROOT) == []
    assert not BannedItem.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_deleted_list_takes_its_pictures_along(settings: Any) -> None:
    row = make_list()
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=make.png(make.photo(1)))
    list_writes.delete_list(by=ADMIN, list_id=row.pk, with_items=True)
    assert make.stored_files(settings.MEDIA_ROOT) == []


def test_an_image_of_the_gallery() -> None:
    row = make_list()
    image = make.add_ready_image(make.photo(1))
    item = item_adding.add_stored(by=ADMIN, list_id=row.pk, kind="image", item_id=image.pk)
    assert hashes_of(item)["sha256"] == [image.sha256]
    assert versions_of(item) == {("full", PIXELS_VERSION), ("full", COPY_VERSION)}
    with pytest.raises(NotFound, match="no image 4711"):
        item_adding.add_stored(by=ADMIN, list_id=row.pk, kind="image", item_id=4711)


def test_an_image_whose_original_was_not_kept(settings: Any) -> None:
    settings.KEEP_ORIGINALS = "none"
    image = make.add_ready_image(make.photo(1), inline=descriptors.available_names())
    assert not image.original
    item = item_adding.add_stored(by=ADMIN, list_id=make_list().pk, kind="image", item_id=image.pk)
    assert hashes_of(item)["sha256"] == [image.sha256]
    assert len(hashes_of(item)["pdq"]) == 1
    assert versions_of(item) == {("full", PIXELS_VERSION), ("full", COPY_VERSION)}
    detail = item.fingerprints.get(version=COPY_VERSION)
    stored = image.fingerprints.get(version=COPY_VERSION)
    assert bytes(detail.features) == bytes(stored.detail.local_features)
    assert item.fingerprints.get(version=PIXELS_VERSION).pattern is not None
    assert item.picture.name


def test_an_image_of_which_nothing_is_known(settings: Any) -> None:
    image = make.add_pending_image(make.photo(1))
    Image.objects.filter(pk=image.pk).update(original="")
    with pytest.raises(Conflict, match="no descriptors"):
        item_adding.add_stored(by=ADMIN, list_id=make_list().pk, kind="image", item_id=image.pk)


def test_several_images_are_one_command() -> None:
    row = make_list()
    for seed in (1, 2, 3):
        make.add_ready_image(make.photo(seed))
    first = Image.objects.earliest("id")
    item_adding.add_stored(by=ADMIN, list_id=row.pk, kind="image", item_id=first.pk)
    before = AuditEvent.objects.count()
    added = item_adding.add_all_stored(by=ADMIN, list_id=row.pk, items=Image.objects.order_by("id"))
    assert len(added.items) == 2
    assert list(added.refused) == [0]
    assert AuditEvent.objects.count() == before + 1
    assert AuditEvent.objects.latest("id").count == 2


def test_many_images_are_not_decoded_again(settings: Any) -> None:
    image = make.add_ready_image(make.photo(1, (1500, 900)), inline=descriptors.available_names())
    stored = {"kind": "image", "item_id": image.pk}
    whole = item_adding.add_stored(by=ADMIN, list_id=make_list("one").pk, **stored)
    Path(settings.MEDIA_ROOT, image.original.name).write_bytes(b"cannot be read")
    many = make_list("many").pk
    (quick,) = item_adding.add_all_stored(by=ADMIN, list_id=many, items=Image.objects.all()).items
    assert hashes_of(quick) == hashes_of(whole)
    columns = ("view", "version", "haar", "pdq", "cnn", "clip", "features")
    quick_rows, whole_rows = (
        item.fingerprints.order_by("version").values_list(*columns) for item in (quick, whole)
    )
    assert len(quick_rows) == 2
    assert repr([*map(comparable, quick_rows)]) == repr([*map(comparable, whole_rows)])
    a, b = (
        as_array(item.fingerprints.get(version=PIXELS_VERSION).pattern) for item in (quick, whole)
    )
    assert np.linalg.norm(a - b) < 0.01  # that which is stored is rounded


def comparable(row: tuple[Any, ...]) -> list[Any]:
    return [
        bytes(value)
        if isinstance(value, memoryview)
        else value.to_list()
        if hasattr(value, "to_list")
        else value
        for value in row
    ]


def test_a_worker_makes_their_large_pictures() -> None:
    make.add_ready_image(make.photo(1, (1500, 900)), inline=descriptors.available_names())
    on = make_list()
    OrmQ.objects.all().delete()
    (item,) = item_adding.add_all_stored(by=ADMIN, list_id=on.pk, items=Image.objects.all()).items
    tasks = {queued.task["func"]: queued.task["args"] for queued in OrmQ.objects.all()}
    assert tasks["moderation.tasks.enlarge_pictures"] == ([item.pk],)
    small = item.picture.name
    assert item_pictures.enlarge([item.pk, 4711]) == 1
    item.refresh_from_db()
    with item.picture.open() as file:
        assert max(Pillow.open(file).size) == 1024
    assert item.picture.name != small
    list_writes.change_list(by=ADMIN, list_id=on.pk, hash_only=True)
    assert item_pictures.enlarge([item.pk]) == 0
    assert BannedItem.objects.get().picture.name == ""


def test_an_animation_is_decoded_for_the_vectors_of_its_frames() -> None:
    frames = [make.photo(seed) for seed in (1, 2, 3)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    make.add_ready_image(data=out.getvalue(), inline=descriptors.available_names())
    images = Image.objects.all()
    (item,) = item_adding.add_all_stored(by=ADMIN, list_id=make_list().pk, items=images).items
    assert item.fingerprints.filter(version=COPY_VERSION, cnn__isnull=False).count() == 3


def test_an_embedded_image_keeps_both_models_vectors() -> None:
    image = make.add_ready_image(make.photo(1))
    embedding.embed_images([image.pk], "copy")
    item = item_adding.add_stored(by=ADMIN, list_id=make_list().pk, kind="image", item_id=image.pk)
    assert item.fingerprints.get(version=COPY_VERSION).cnn is not None


def test_retiring_and_activating() -> None:
    row = make_list()
    item = item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None)])
    RetroScan.objects.all().delete()
    everything = BannedItem.objects.all()
    assert item_changing.retire(by=ADMIN, items=everything, reason="withdrawn") == 1
    item.refresh_from_db()
    assert (item.state, item.retired_because) == ("retired", "withdrawn")
    assert item.retired_at is not None
    assert not BannedItem.objects.matching().exists()
    assert item_changing.retire(by=ADMIN, items=everything, reason="again") == 0
    assert not RetroScan.objects.exists()
    assert item_changing.activate(by=ADMIN, items=everything, reason="back") == 1
    item.refresh_from_db()
    assert (item.state, item.retired_at, item.retired_because) == ("active", None, "")
    assert RetroScan.objects.get().item_id == item.pk
    row.refresh_from_db()
    assert row.version == 4
    assert [event.verb for event in AuditEvent.objects.order_by("id")] == [
        "item.added",
        "item.retired",
        "item.activated",
    ]


@pytest.mark.slow
def test_a_bulk_command_is_one_event_with_a_count() -> None:
    first, second = make_list(), make_list()
    for number in range(120):
        item_adding.add_hashes(
            by=ADMIN,
            list_id=(first if number % 2 else second).pk,
            hashes=[("sha256", f"{number:03d}" + "f" * 61, None)],
        )
    before = AuditEvent.objects.count()
    assert (
        item_changing.retire(by=ADMIN, items=BannedItem.objects.all(), reason="all of them") == 120
    )
    (event,) = AuditEvent.objects.filter(pk__gt=AuditEvent.objects.latest("id").pk - 1)
    assert AuditEvent.objects.count() == before + 1
    assert (event.verb, event.count, event.reason) == ("items.retired", 120, "all of them")
    assert len(event.before["ids"]) == 100
    assert event.before["lists"] == sorted([first.pk, second.pk])
    assert list(trail.find_breaks()) == []


def test_opinions() -> None:
    row = make_list()
    item = item_adding.add_hashes(by=ADMIN, list_id=row.pk, hashes=[("sha256", A, None)])
    moderator = Actor.person(make_person(Role.MODERATOR))
    everything = BannedItem.objects.all()

    def say(opinion: str) -> int:
        return item_changing.give_opinion(
            by=moderator, items=everything, opinion=opinion, reason="looked"
        )

    RetroScan.objects.all().delete()
    assert say("false_positive") == 1
    assert not BannedItem.objects.matching().exists()
    assert say("false_positive") == 0
    assert not RetroScan.objects.exists()
    assert say("confirmed") == 1
    assert BannedItem.objects.matching().get() == item
    assert RetroScan.objects.count() == 1
    event = AuditEvent.objects.latest("id")
    assert (event.verb, event.before, event.after) == (
        "item.opinion_given",
        {"was": {str(item.pk): "false_positive"}},
        {"is": "confirmed"},
    )
    with pytest.raises(UserError, match="none of none, confirmed"):
        say("fine")


def test_moving_items() -> None:
    here, there = make_list(), make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=here.pk, data=make.png(make.photo(1)))
    assert (
        item_changing.move(by=ADMIN, items=BannedItem.objects.all(), list_id=there.pk, reason="x")
        == 1
    )
    item.refresh_from_db()
    assert item.list_id == there.pk
    assert item.picture.name
    assert RetroScan.objects.latest("id").list_id == there.pk
    here.refresh_from_db()
    there.refresh_from_db()
    assert (here.version, there.version) == (3, 2)
    assert (
        item_changing.move(by=ADMIN, items=BannedItem.objects.all(), list_id=there.pk, reason="x")
        == 0
    )
    with pytest.raises(NotFound):
        item_changing.move(by=ADMIN, items=BannedItem.objects.all(), list_id=4711, reason="x")


def test_moving_onto_a_hash_only_list_forgets_media() -> None:
    there = make_list(hash_only=True)
    item = item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=make.png(make.photo(1)))
    item_changing.move(by=ADMIN, items=BannedItem.objects.all(), list_id=there.pk, reason="x")
    item.refresh_from_db()
    assert item.picture.name == ""
    assert not item.fingerprints.exists()


def test_a_move_that_would_have_an_entry_twice() -> None:
    first, second, there = make_list(), make_list(), make_list()
    for row, digest in ((first, A), (second, B)):
        item_adding.add_hashes(
            by=ADMIN, list_id=row.pk, hashes=[("sha256", digest, None)], source="s", source_id="7"
        )
    with pytest.raises(Conflict, match="entry 7 twice"):
        item_changing.move(by=ADMIN, items=BannedItem.objects.all(), list_id=there.pk, reason="x")
    item_changing.move(by=ADMIN, items=first.items.all(), list_id=there.pk, reason="x")
    with pytest.raises(Conflict, match="entry 7 twice"):
        item_changing.move(by=ADMIN, items=second.items.all(), list_id=there.pk, reason="x")
    assert second.items.count() == 1


def test_suspending() -> None:
    item = item_adding.add_hashes(by=ADMIN, list_id=make_list().pk, hashes=[("sha256", A, None)])
    everything = BannedItem.objects.all()
    assert item_changing.suspend(by=Actor.machine("worker"), items=everything, reason="flood") == 1
    item.refresh_from_db()
    assert item.suspended_at is not None
    assert item_changing.suspend(by=ADMIN, items=everything, reason="flood") == 0
    assert item_changing.lift_suspension(by=ADMIN, items=everything, reason="looked at") == 1
    item.refresh_from_db()
    assert item.suspended_at is None


def test_changing_what_is_said_of_an_item() -> None:
    item = item_adding.add_hashes(by=ADMIN, list_id=make_list().pk, hashes=[("sha256", A, None)])
    until = timezone.now() + timedelta(days=1)
    item_changing.change_item(by=ADMIN, item_id=item.pk, note="n", tags=["t"], expires_at=until)
    item.refresh_from_db()
    assert (item.note, item.tags, item.expires_at) == ("n", ["t"], until)
    count = AuditEvent.objects.count()
    item_changing.change_item(by=ADMIN, item_id=item.pk, note="n")
    assert AuditEvent.objects.count() == count
    with pytest.raises(UserError):
        item_changing.change_item(by=ADMIN, item_id=item.pk, owner="x" * 256)
    with pytest.raises(NotFound):
        item_changing.change_item(by=ADMIN, item_id=4711, note="n")
    with pytest.raises(TypeError):
        item_changing.change_item(by=ADMIN, item_id=item.pk, state="retired")


LEAST = {
    "hashes": Role.LEAD,
    "batch": Role.LEAD,
    "picture": Role.LEAD,
    "image": Role.LEAD,
    "images": Role.LEAD,
    "file": Role.LEAD,
    "link": Role.LEAD,
    "video": Role.LEAD,
    "videos": Role.LEAD,
    "retire": Role.LEAD,
    "activate": Role.LEAD,
    "move": Role.LEAD,
    "suspend": Role.LEAD,
    "lift": Role.LEAD,
    "change": Role.LEAD,
    "opinion": Role.MODERATOR,
}


@pytest.mark.parametrize("command", list(LEAST))
def test_who_may(command: str) -> None:
    row = make_list()
    everything = BannedItem.objects.all()
    common: dict[str, Any] = {"list_id": row.pk}
    calls: dict[str, Any] = {
        "hashes": lambda by: item_adding.add_hashes(by=by, hashes=[("sha256", A, None)], **common),
        "batch": lambda by: item_adding.add_batch(by=by, rows=[], **common),
        "picture": lambda by: item_adding.add_picture(by=by, data=make.png(make.flat()), **common),
        "image": lambda by: item_adding.add_stored(by=by, kind="image", item_id=1, **common),
        "images": lambda by: item_adding.add_all_stored(
            by=by, items=Image.objects.none(), **common
        ),
        "file": lambda by: item_adding.add_file(by=by, file=ContentFile(b"x"), **common),
        "link": lambda by: item_adding.add_link(by=by, url="http://127.0.0.1:9/", **common),
        "video": lambda by: item_adding.add_stored(by=by, kind="video", item_id=1, **common),
        "videos": lambda by: item_adding.add_all_stored(
            by=by, items=Image.objects.none(), **common
        ),
        "retire": lambda by: item_changing.retire(by=by, items=everything, reason="x"),
        "activate": lambda by: item_changing.activate(by=by, items=everything, reason="x"),
        "move": lambda by: item_changing.move(by=by, items=everything, reason="x", **common),
        "suspend": lambda by: item_changing.suspend(by=by, items=everything, reason="x"),
        "lift": lambda by: item_changing.lift_suspension(by=by, items=everything, reason="x"),
        "change": lambda by: item_changing.change_item(by=by, item_id=1, note="x"),
        "opinion": lambda by: item_changing.give_opinion(
            by=by, items=everything, opinion="confirmed", reason="x"
        ),
    }
    for role in Role:
        by = Actor.person(make_person(role))
        if role < LEAST[command]:
            with pytest.raises(NotAllowed):
                calls[command](by)
        else:
            try:
                calls[command](by)
            except NotAllowed:
                pytest.fail(f"a {role.name} may")
            except UserError:
                pass  # there is no such image, and no video in an x
    assert not BannedHash.objects.exclude(item__list=row).exists()
