"""The publishing gate: what is banned is not found by anybody, and why can be read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from gallery.imaging.decoding import decoders
from gallery.imaging.descriptors import PIXELS
from gallery.imaging.descriptors.pdq import dihedral_hashes
from gallery.items import adding, describing
from gallery.items.models import Image, ImageFingerprint
from gallery.items.preprocessing import Hashes
from moderation.access.permissions import Actor, Role
from moderation.cases.deciding import decide
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import item_adding
from moderation.lists.models import BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import Action
from moderation.pipeline.gates import may_publish
from moderation.screening import screen
from tests.factories import add_ready_image, encoded, jpeg, photo, png, wheel_photo
from tests.moderation.factories import ADMIN, make_item, make_list, make_person

pytestmark = pytest.mark.django_db


def pdq_of(picture: Pillow.Image) -> str:
    found = dihedral_hashes(np.asarray(picture))
    assert found is not None
    return found[0][0].hex()


def flipped(value: str, bits: int) -> str:
    """A hash at that distance."""
    return f"{int(value, 16) ^ ((1 << bits) - 1):064x}"


def add(picture: Pillow.Image, **fields: Any) -> Image:
    return add_ready_image(data=png(picture), **fields)


def method(on: BannedList, match_type: str, **values: Any) -> None:
    ListMethod.objects.filter(list=on, match_type=match_type).update(**values)


def gif(frames: list[Pillow.Image], **options: Any) -> bytes:
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], **options)


def test_a_gate_without_lists_costs_one_query(django_assert_num_queries: Any) -> None:
    image = add(photo(1))
    assert image.status == "ready"
    make_list(enabled=False)
    with django_assert_num_queries(1):
        assert may_publish(image)
    assert not ReviewCase.objects.exists()


@pytest.mark.parametrize("inline", [PIXELS, ()])
def test_a_file_is_decoded_once(monkeypatch: pytest.MonkeyPatch, inline: tuple[str, ...]) -> None:
    """For the descriptors, the thumbnail, and a list that compares pictures."""
    item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=png(photo(7)))
    decoded: list[bytes] = []
    read = decoders.pictures

    def counted(job: Any, data: bytes) -> Any:
        decoded.append(data)
        return read(job, data)

    data = jpeg(photo(1))
    image = adding.add_image(by="test", data=data) if not inline else None
    monkeypatch.setattr(decoders, "pictures", counted)
    if image is None:
        adding.add_image(by="test", data=data, inline=inline)
    else:
        assert describing.describe_images([image.pk]) == 1
    assert decoded == [data]
    assert Image.objects.get().status == "ready"


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_the_same_file_is_blocked(kind: str) -> None:
    data = png(photo(1))
    item = make_item(make_list(), (kind, getattr(Hashes.of(data), kind)))
    image = add_ready_image(data=data)
    assert image.status == "quarantined" and image.banned
    case = ReviewCase.objects.get()
    assert (case.image, case.verdict, case.held, case.origin) == (image, "block", True, "upload")
    assert case.evidence["sha256"] == image.sha256 and case.confidence == 1.0
    (match,) = case.matches.all()
    assert (match.item, match.match_type, match.distance) == (item, kind, 0)
    assert match.list_version == item.list.version


@pytest.mark.parametrize("turn", list(Pillow.Transpose))
def test_a_turned_or_mirrored_picture_is_blocked_by_pdq(turn: Pillow.Transpose) -> None:
    picture = photo(1, (320, 240))
    make_item(make_list(), ("pdq", pdq_of(picture), 90))
    assert add(picture.transpose(turn)).status == "quarantined"
    (match,) = CaseMatch.objects.all()
    assert match.match_type == "pdq"


@pytest.mark.parametrize(
    ("distance", "status", "matches"), [(31, "quarantined", 1), (32, "ready", 1), (53, "ready", 0)]
)
def test_thresholds_are_inclusive_and_observed_beyond(
    distance: int, status: str, matches: int
) -> None:
    picture = photo(1)
    on = make_list(observe_share=0.0)
    make_item(on, ("pdq", flipped(pdq_of(picture), distance)))
    assert add(picture).status == status
    rows = list(CaseMatch.objects.all())
    assert [row.distance for row in rows] == [distance] * matches
    assert ReviewCase.objects.count() == (status == "quarantined")


@pytest.mark.parametrize(
    ("action", "fields", "status", "verdict"),
    [
        (Action.BLOCK, {}, "quarantined", "block"),
        (Action.REVIEW, {}, "quarantined", "review"),
        (Action.REVIEW, {"hold_on_review": False}, "ready", "review"),
        (Action.SHADOW, {}, "ready", None),
    ],
)
def test_what_the_action_of_a_list_does(
    action: Action, fields: dict[str, Any], status: str, verdict: str | None
) -> None:
    picture = photo(1)
    on = make_list(action=action, observe_share=0.0, **fields)
    make_item(on, ("pdq", pdq_of(picture), 80))
    image = add(picture)
    assert image.status == status and image.banned == (verdict == "block")
    match = CaseMatch.objects.get()
    if verdict is None:
        assert match.case is None and not ReviewCase.objects.exists()
    else:
        assert match.case is not None
        assert (match.case.verdict, match.case.held) == (verdict, status == "quarantined")


@pytest.mark.parametrize(
    "doubt",
    [
        {"opinion": BannedItem.Opinion.DISPUTED},
        {"suspended_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_doubted_item_leads_to_review_at_most(doubt: dict[str, Any]) -> None:
    data = png(photo(1))
    make_item(make_list(), ("md5", Hashes.of(data).md5), **doubt)
    assert add_ready_image(data=data).status == "quarantined"
    assert ReviewCase.objects.get().verdict == "review"


@pytest.mark.parametrize(
    "dead",
    [
        {"opinion": BannedItem.Opinion.FALSE_POSITIVE},
        {"state": "retired", "retired_at": "2026-01-01T00:00:00Z"},
        {"expires_at": "2020-01-01T00:00:00Z"},
    ],
)
def test_what_is_retired_expired_or_a_false_positive_matches_nothing(dead: dict[str, Any]) -> None:
    data = png(photo(1))
    md5, pdq = Hashes.of(data).md5, pdq_of(photo(1))
    make_item(make_list(), ("md5", md5), ("pdq", pdq), **dead)
    assert add_ready_image(data=data).status == "ready"
    assert not CaseMatch.objects.exists()


def test_a_hash_of_low_quality_leads_to_review_at_most() -> None:
    picture = photo(1)
    make_item(make_list(), ("pdq", pdq_of(picture), 49))
    assert add(picture).status == "quarantined"
    assert ReviewCase.objects.get().verdict == "review"


def test_a_picture_that_says_too_little_is_not_compared_by_pdq() -> None:
    soft = Pillow.linear_gradient("L").convert("RGB")
    hashes, quality = dihedral_hashes(np.asarray(soft)) or ([b""], 0)
    assert quality < 50
    make_item(make_list(), ("pdq", hashes[0].hex()))
    assert add(soft).status == "ready"
    assert not CaseMatch.objects.exists()


def test_an_allow_entry_outranks_a_ban() -> None:
    picture = photo(1)
    data = png(picture)
    make_item(make_list(), ("md5", Hashes.of(data).md5), ("pdq", pdq_of(picture)))
    allow = make_list(kind="allow", action=Action.SHADOW)
    make_item(allow, ("sha256", Hashes.of(data).sha256))
    assert add_ready_image(data=data).status == "ready"
    assert not ReviewCase.objects.exists()
    # The same picture in another file is not what was allowed.
    assert add_ready_image(data=jpeg(picture)).status == "quarantined"


def test_an_allow_entry_may_be_for_some_lists_alone() -> None:
    data = png(photo(1))
    banned, other = make_list(), make_list()
    make_item(banned, ("md5", Hashes.of(data).md5))
    allow = make_list(kind="allow")
    make_item(allow, ("sha256", Hashes.of(data).sha256))
    allow.allows_for.add(other)
    assert add_ready_image(data=data).status == "quarantined"
    ReviewCase.objects.all().delete()
    Image.objects.all().delete()
    allow.allows_for.add(banned)
    assert add_ready_image(data=data).status == "ready"


def test_an_allowed_frame_frees_no_other_frame() -> None:
    shown, banned = photo(1, (200, 150)), photo(2, (200, 150))
    data = gif([shown, banned], duration=100)
    first, second = (Pillow.open(io.BytesIO(data)) for _ in range(2))
    second.seek(1)
    make_item(make_list(), ("pdq", pdq_of(second.convert("RGB"))))
    make_item(make_list(kind="allow"), ("pdq", pdq_of(first.convert("RGB"))))
    assert add_ready_image(data=data).status == "quarantined"


def test_the_seventh_of_twelve_frames_blocks() -> None:
    data = gif([photo(seed, (200, 150)) for seed in range(12)], duration=100)
    animation = Pillow.open(io.BytesIO(data))
    animation.seek(7)
    make_item(make_list(), ("pdq", pdq_of(animation.convert("RGB"))))
    image = add_ready_image(data=data)
    assert image.status == "quarantined"
    assert [match.frame for match in CaseMatch.objects.all()] == [7]


def test_a_page_of_a_tiff_blocks() -> None:
    pages = [photo(seed) for seed in range(3)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    make_item(make_list(), ("pdq", pdq_of(pages[2])))
    assert add_ready_image(data=data).status == "quarantined"
    assert CaseMatch.objects.get().frame == 2


def test_each_frame_is_found_by_searches_too() -> None:
    data = gif([photo(seed, (200, 150)) for seed in range(3)], duration=100)
    image = add_ready_image(data=data, inline=PIXELS)
    views = ImageFingerprint.objects.filter(item=image).values_list("view", flat=True)
    assert sorted(views) == ["frame-1", "frame-2", "full"]
    from gallery.search import image_search

    found = image_search.search_images(
        image_search.ImageQuery(data=png(photo(2, (200, 150)))), match_type="pdq", limit=5
    )
    assert [match.image.pk for match in found.matches] == [image.pk]


def test_a_damaged_later_frame_is_held() -> None:
    data = gif([photo(seed, (200, 150)) for seed in range(6)], duration=100)
    make_item(make_list(), ("pdq", "ab" * 32))
    image = add_ready_image(data=data[: len(data) // 2] + b"\x3b")
    assert image.status == "quarantined" and not image.banned
    case = ReviewCase.objects.get()
    assert (case.verdict, case.held) == ("review", True) and "frames" in case.evidence["missing"]


def test_a_matcher_that_raises_holds_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    make_item(make_list(), ("pdq", "ab" * 32))

    def broken(*args: Any) -> Any:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(screen, "_screen", broken)
    image = add(photo(1))
    assert image.status == "quarantined" and not image.banned
    case = ReviewCase.objects.get()
    assert (case.verdict, case.held, case.image) == ("review", True, image)
    assert case.evidence["missing"] and not case.matches.exists()


def test_a_missing_model_that_a_list_needs_holds_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = make_list()
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(photo(2)))
    from gallery.imaging import descriptors

    with monkeypatch.context() as patch:
        patch.setitem(descriptors._options, "copy", {"directory": on_nothing()})
        patch.setattr(descriptors, "_made", {})
        held = add(photo(1))
    assert held.status == "quarantined"
    assert ReviewCase.objects.get().evidence["missing"].keys() == {"copy"}
    # A list in shadow would let it through whatever was found.
    BannedList.objects.update(action=Action.SHADOW)
    with monkeypatch.context() as patch:
        patch.setitem(descriptors._options, "copy", {"directory": on_nothing()})
        patch.setattr(descriptors, "_made", {})
        assert add(photo(3)).status == "ready"


def on_nothing() -> Any:
    from pathlib import Path

    return Path("/nonexistent/models")


def test_a_crop_is_blocked_by_a_verified_copy() -> None:
    picture = wheel_photo("astronaut.png")
    on = make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    width, height = picture.size
    crop = picture.crop((width // 6, height // 6, width * 5 // 6, height * 5 // 6))
    image = add(crop)
    assert image.status == "quarantined"
    (match,) = CaseMatch.objects.filter(case__isnull=False)
    assert (match.item, match.match_type, match.verdict) == (item, "copy", "block")
    assert match.distance <= match.threshold and match.geometry is not None
    assert match.geometry["crop"]
    assert add(wheel_photo("coffee.png")).status == "ready"


def test_imgsmlr_reaches_review_at_most_unless_the_list_says_so() -> None:
    picture = wheel_photo("chelsea.png")
    on = make_list()
    for name in ("pdq", "copy"):
        method(on, name, enabled=False)
    method(on, "imgsmlr", enabled=True)
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    assert add_ready_image(data=jpeg(picture, 80)).status == "quarantined"
    assert ReviewCase.objects.get().verdict == "review"
    method(on, "imgsmlr", may_block=True)
    assert add_ready_image(data=jpeg(picture, 70)).status == "quarantined"
    assert ReviewCase.objects.order_by("-id")[0].verdict == "block"
    assert {m.match_type for m in CaseMatch.objects.all()} == {"imgsmlr"}


def test_one_frame_of_a_banned_video_is_only_doubtful() -> None:
    shown = [photo(seed, (200, 150)) for seed in range(3)]
    data = gif(shown, duration=100)
    animation = Pillow.open(io.BytesIO(data))
    hashes = []
    for number in range(3):
        animation.seek(number)
        hashes.append(pdq_of(animation.convert("RGB")))
    item = make_item(make_list(), media=BannedItem.Media.VIDEO)
    for number, value in enumerate(hashes):
        item.hashes.create(kind="pdq", value=value, quality=90, time_ms=1000 * number)
    assert add(shown[1]).status == "quarantined"
    case = ReviewCase.objects.get()
    assert case.verdict == "review" and case.matches.get().item_time_ms == 1000
    # Three of its pictures are no coincidence.
    assert add_ready_image(data=data).banned
    assert ReviewCase.objects.order_by("-id")[0].verdict == "block"


@pytest.mark.slow
def test_a_share_of_what_is_beyond_the_threshold_becomes_a_sample() -> None:
    pictures = [photo(seed) for seed in range(12)]
    on = make_list(observe_share=0.5)
    for picture in pictures:
        make_item(on, ("pdq", flipped(pdq_of(picture), 40)))
    added = [add(picture) for picture in pictures]
    assert {image.status for image in added} == {"ready"}
    cases = list(ReviewCase.objects.all())
    assert 1 <= len(cases) <= 11
    assert {(c.origin, c.sampling_weight, c.held, c.verdict) for c in cases} == {
        ("sample", 2.0, False, "allow")
    }
    assert CaseMatch.objects.filter(case=None).count() == 12 - len(cases)
    # The same bytes are drawn again, or never.
    drawn = {case.evidence["sha256"] for case in cases}
    Image.objects.all().delete()
    ReviewCase.objects.all().delete()
    for picture in pictures:
        add(picture)
    assert {case.evidence["sha256"] for case in ReviewCase.objects.all()} == drawn


def test_nearly_identical_uploads_share_a_cluster_and_distant_ones_do_not() -> None:
    picture = photo(1, (320, 240))
    make_item(make_list(), ("pdq", flipped(pdq_of(picture), 20)))
    for data in (png(picture), jpeg(picture, 90), jpeg(picture, 80)):
        add_ready_image(data=data)
    assert ReviewCase.objects.count() == 3
    assert len({case.cluster for case in ReviewCase.objects.all()}) == 1
    make_item(make_list(), ("pdq", pdq_of(photo(9))))
    add(photo(9))
    assert len({case.cluster for case in ReviewCase.objects.all()}) == 2


@pytest.mark.parametrize("keep", ["all", "none"])
def test_what_is_held_keeps_its_original_and_what_passes_does_not(
    keep: str, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.KEEP_ORIGINALS = keep
    data = png(photo(1))
    make_item(make_list(), ("md5", Hashes.of(data).md5))
    inline = ("imgsmlr", "pdq", "copy")
    with django_capture_on_commit_callbacks(execute=True):
        held = adding.add_image(data=data, by="test", inline=inline)
        passed = adding.add_image(data=png(photo(2)), by="test", inline=inline)
    assert held.original and held.original.storage.exists(held.original.name)
    assert bool(passed.original) == (keep == "all")
    by = Actor.person(make_person(Role.MODERATOR))
    with django_capture_on_commit_callbacks(execute=True):
        decide(by=by, case_ids=[ReviewCase.objects.get().pk], verb="dismiss")
    held.refresh_from_db()
    assert bool(held.original) == (keep == "all")


def test_the_worker_asks_the_gate_too() -> None:
    data = png(photo(1))
    make_item(make_list(), ("pdq", pdq_of(photo(1))))
    image = adding.add_image(data=data, by="test")
    assert image.status == "pending"
    describing.describe_images([image.pk])
    image.refresh_from_db()
    assert image.status == "quarantined" and ReviewCase.objects.get().image == image


def test_vectors_of_another_model_are_not_passed_over() -> None:
    on = make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(photo(2)))
    item.fingerprints.filter(cnn__isnull=False).update(version="copy-0")
    assert add(photo(1)).status == "quarantined"
    assert "copy" in ReviewCase.objects.get().evidence["missing"]
