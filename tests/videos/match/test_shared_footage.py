"""Which videos share footage with a stored one, and where each has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gallery.shared.errors import NotFound
from tests.videos import clips, library
from videos.match.shared_footage import SPANS_PER_PART, find_shared_footage
from videos.models import Frame, Video

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def stored(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Video]]:
    media = tmp_path_factory.mktemp("media")
    with library.library(media, django_db_blocker) as videos:
        yield videos


def test_both_ranges_of_what_is_shared(stored: dict[str, Video]) -> None:
    """Travel has chelsea and coffee from second 4 to 12, and remix as well."""
    answer = find_shared_footage(video_id=stored["travel"].pk)
    assert not answer.low_information
    (shared,) = answer.results
    assert shared.video == stored["remix"]
    assert shared.confidence > 0.9
    assert 0.4 <= shared.share <= 0.6
    (part,) = shared.segments
    for start in (part.own_start, part.start):
        assert abs(start - 4000) <= 1000
    for end in (part.own_end, part.end):
        assert abs(end - 12_000) <= 1000
    assert abs((part.start - part.own_start) - (part.end - part.own_end)) <= 300
    assert abs(part.speed - 1) <= 0.05


def test_it_goes_both_ways(stored: dict[str, Video]) -> None:
    (back,) = find_shared_footage(video_id=stored["remix"].pk).results
    (forth,) = find_shared_footage(video_id=stored["travel"].pk).results
    assert back.video == stored["travel"]
    assert abs(back.segments[0].own_start - forth.segments[0].start) <= 500
    assert abs(back.confidence - forth.confidence) <= 0.05


@pytest.mark.parametrize("name", ["museum", "again"])
def test_strangers_share_nothing(stored: dict[str, Video], name: str) -> None:
    answer = find_shared_footage(video_id=stored[name].pk)
    assert (answer.results, answer.low_information) == ([], False)


@pytest.mark.parametrize("status", ["pending", "quarantined"])
def test_only_ready_videos_ask_and_answer(stored: dict[str, Video], status: str) -> None:
    Video.objects.filter(pk=stored["remix"].pk).update(status=status)
    assert find_shared_footage(video_id=stored["travel"].pk).results == []
    with pytest.raises(NotFound):
        find_shared_footage(video_id=stored["remix"].pk)


def test_no_such_video(db: None) -> None:
    with pytest.raises(NotFound):
        find_shared_footage(video_id=10**9)


def test_least_confidence_and_limit(stored: dict[str, Video]) -> None:
    assert find_shared_footage(video_id=stored["travel"].pk, min_confidence=1.0).results == []
    assert len(find_shared_footage(video_id=stored["travel"].pk, limit=1).results) == 1


@pytest.mark.slow
def test_other_copies_of_the_whole(stored: dict[str, Video], settings: Any, tmp_path: Any) -> None:
    """Letterboxed and strongly compressed: all of it, in one piece."""
    frames = [library.letterboxed(rgb) for rgb in library.footage("travel")]
    copy = library.add_ready(clips.encode(clips.timed(frames), options={"crf": "35"}))
    shared, other = find_shared_footage(video_id=copy.pk).results
    assert (shared.video, other.video) == (stored["travel"], stored["remix"])
    assert shared.share > 0.9
    (part,) = shared.segments
    assert (part.own_start, part.start) == pytest.approx((0, 0), abs=500)
    assert (part.own_end, part.end) == pytest.approx((16_000, 16_000), abs=2000)


def test_a_video_that_shows_nothing(stored: dict[str, Video]) -> None:
    black = library.add_ready(clips.encode(clips.timed(clips.plain(0, 3))))
    answer = find_shared_footage(video_id=black.pk)
    assert (answer.results, answer.low_information) == ((), True)


@pytest.mark.slow
def test_a_long_video_is_compared_in_parts(stored: dict[str, Video]) -> None:
    """Ten times as many spans as are compared at a time, the shared ones at the end."""
    row = Video.objects.create(
        md5="0" * 32,
        sha1="",
        sha256="",
        format="mp4",
        width=1,
        height=1,
        bytes=1,
        status="ready",
        added_by="tests",
    )
    museum = list(Frame.objects.filter(item=stored["museum"]).order_by("t0"))
    again = list(Frame.objects.filter(item=stored["again"]).order_by("t0"))
    rows, at = [], 0
    while len(rows) < 600:
        rows += moved(row, again, at)
        at += 13_000
    rows += moved(row, museum, at)
    Frame.objects.bulk_create(rows)
    results = {shared.video: shared for shared in find_shared_footage(video_id=row.pk).results}
    parts = results[stored["museum"]].segments
    assert [abs(part.own_start - at) <= 1000 for part in parts] == [True]
    # Four repetitions are found in each part.
    assert len(results[stored["again"]].segments) >= 4 * (600 // SPANS_PER_PART)


@pytest.mark.slow
def test_a_short_video_within_a_long_one_is_found_from_either(stored: dict[str, Video]) -> None:
    """Three seconds of a minute and a half that shows much else."""
    piece = library.add_ready(clips.encode(clips.timed(library.clip_of("museum", 1, 4))))
    others = ("rocket", "coffee", "astronaut", "hubble_deep_field", "camera", "page")
    around = clips.timed([frame for shot in others for frame in clips.moving(shot, 8, rate=5)], 5)
    frames = [
        *around,
        *((48 + seconds, frame) for seconds, frame in clips.timed(library.footage("museum"))),
        *((60 + seconds, frame) for seconds, frame in around),
    ]
    film = library.add_ready(clips.encode(frames))
    starts = {}
    for one, other in ((piece, film), (film, piece)):
        results = {shared.video: shared for shared in find_shared_footage(video_id=one.pk).results}
        (part,) = results[other].segments
        starts[one] = part.own_start, part.start
    assert starts[film] == pytest.approx((48_000 + 1000, 0), abs=1000)
    assert starts[piece] == pytest.approx(starts[film][::-1], abs=1)


def moved(video: Video, frames: list[Frame], by: int) -> list[Frame]:
    return [
        Frame(
            item=video,
            t0=frame.t0 + by,
            t1=frame.t1 + by,
            view=frame.view,
            version=frame.version,
            weight=frame.weight,
            cnn=frame.cnn,
            pdq=frame.pdq,
        )
        for frame in frames
    ]
