"""Videos are screened picture by picture before anybody finds them, and say where they match."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from PIL import Image as Pillow

from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import item_adding
from moderation.lists.models import BannedItem, RetroScan
from moderation.pipeline import rescan
from tests.factories import add_ready_image, png
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.pipeline.test_gates import method, pdq_of
from tests.videos.clips import Pixels, encode, still, timed
from videos.index import indexing
from videos.items import adding
from videos.models import Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clips_are_read_once")]
SHOTS = ("astronaut", "coffee", "chelsea")


def film() -> list[Pixels]:
    """Three shots of two seconds."""
    return [frame for name in SHOTS for frame in still(name, 2)]


def add(data: bytes) -> Video:
    video = adding.add_video(file=ContentFile(data), by="tests")
    indexing.index_videos([video.pk])
    video.refresh_from_db()
    return video


def shown(second: float) -> Pillow.Image:
    return Pillow.fromarray(film()[round(second * 25)])


def test_a_banned_still_inside_is_found_with_its_time() -> None:
    item = make_item(make_list(), ("pdq", pdq_of(shown(3)), 90))
    video = add(encode(timed(film())))
    assert video.status == "quarantined", video.failure
    assert video.original and video.proxy
    case = ReviewCase.objects.get()
    assert (case.video, case.verdict, case.held) == (video, "block", True)
    (match,) = case.matches.all()
    assert match.item == item and match.match_type == "pdq"
    assert match.time_ms is not None and 1900 <= match.time_ms <= 2300
    assert add(encode(timed(still("rocket", 2)))).status == "ready"


@pytest.mark.parametrize("turn", [Pillow.Transpose.FLIP_LEFT_RIGHT, Pillow.Transpose.ROTATE_180])
def test_a_mirrored_or_turned_film_is_found_too(turn: Pillow.Transpose) -> None:
    make_item(make_list(), ("pdq", pdq_of(shown(3).transpose(turn)), 90))
    assert add(encode(timed(film()))).status == "quarantined"
    assert {round((m.time_ms or 0) / 1000) for m in CaseMatch.objects.all()} == {2}


def test_a_part_of_a_banned_picture_is_found_by_copy() -> None:
    on = make_list()
    method(on, "pdq", enabled=False)
    whole = Pillow.fromarray(next(iter(still("coffee", 0.04, size=(640, 360)))))
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(whole))
    assert add(encode(timed(film()))).status == "quarantined"
    match = CaseMatch.objects.filter(verdict="block")[0]
    assert match.match_type == "copy" and 1900 <= (match.time_ms or 0) <= 2300


def test_the_same_film_is_found_by_its_pictures() -> None:
    on = make_list()
    original = add(encode(timed(film())))
    item = item_adding.add_stored(by=ADMIN, list_id=on.pk, kind="video", item_id=original.pk)
    assert item.media == BannedItem.Media.VIDEO
    again = add(encode(timed(film()), "webm"))
    assert again.status == "quarantined"
    assert ReviewCase.objects.get(video=again).verdict == "block"
    # A single picture of it may be harmless.
    still_of_it = add_ready_image(shown(3))
    assert ReviewCase.objects.get(image=still_of_it).verdict == "review"


def test_a_scan_finds_a_still_in_a_video_that_is_here() -> None:
    video, other = add(encode(timed(film()))), add(encode(timed(still("rocket", 2))))
    assert video.status == "ready"
    on = make_list()
    make_item(on, ("pdq", pdq_of(shown(3).transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)), 90))
    scan = RetroScan.objects.create(list=on, reason="test", added_by="test")
    assert rescan.run(scan.pk)
    video.refresh_from_db()
    other.refresh_from_db()
    assert (video.status, other.status) == ("quarantined", "ready")
    case = ReviewCase.objects.get()
    assert (case.video, case.origin) == (video, "retro_scan")


def test_a_video_whose_small_copy_is_broken_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    make_item(make_list(), ("pdq", "ab" * 32))
    from videos.index import file_storage

    def broken(sha256: str, mp4: Any) -> str:
        from django.core.files.storage import default_storage

        return default_storage.save("proxies/broken.mp4", ContentFile(b"no video"))

    monkeypatch.setattr(file_storage, "save_proxy", broken)
    video = add(encode(timed(film())))
    assert video.status == "quarantined"
    case = ReviewCase.objects.get()
    assert case.verdict == "review" and "frames" in case.evidence["missing"]


def test_a_video_that_was_found_harmless_passes_when_it_is_indexed_anew() -> None:
    from gallery.items.changing import release_items
    from videos.items.reindexing import index_again

    make_item(make_list(), ("pdq", pdq_of(shown(3)), 90))
    video = add(encode(timed(film())))
    ReviewCase.objects.update(state="dismissed", decided_at="2026-01-01T00:00:00Z", held=False)
    chosen = Video.objects.filter(pk=video.pk)
    release_items(items=chosen, by="test")
    index_again(items=chosen, by="test")
    indexing.index_videos([video.pk])
    video.refresh_from_db()
    assert (video.status, video.reindex) == ("ready", False)
    assert ReviewCase.objects.count() == 1
