"""Screenshots, animations and clips find the moment; strangers, and what is hidden, do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from gallery.imaging import descriptors
from gallery.imaging.decoding.limits import NotAnImage
from gallery.shared.errors import Unavailable
from tests.videos import clips, library
from tests.videos.clips import Pixels
from tests.videos.library import clip_of, file_of, frame_at
from videos.decode.errors import NotAVideo
from videos.match import video_search
from videos.match.confidence import calibrations
from videos.match.video_search import VideoMatch, VideoRange, VideoSearchResult
from videos.models import Video

pytestmark = pytest.mark.django_db


def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (180, 320, 3)).astype(np.uint8)


FRAME_MS = 100
"""Of the proxies."""


@pytest.fixture(scope="module")
def stored(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, dict[str, Video]]]:
    media = tmp_path_factory.mktemp("media")
    with library.library(media, django_db_blocker) as videos:
        yield media, videos


@pytest.fixture
def videos(stored: Any, settings: Any) -> dict[str, Video]:
    settings.MEDIA_ROOT, every = stored
    return every


def search(data: bytes) -> VideoSearchResult:
    """An answer that names each place once."""
    answer = video_search.search_videos(data=data)
    own = [VideoRange(hit.video, hit.start, hit.end) for hit in answer.results[:1]]
    for a, b in combinations([*own, *answer.ambiguous], 2):
        assert not a.overlaps(b)
    return answer


def first(answer: VideoSearchResult) -> VideoMatch:
    assert answer.results, "nothing was found"
    assert not answer.low_information
    return answer.results[0]


STILLS: dict[str, Callable[[Pixels], bytes]] = {
    "as it is": file_of,
    "small and compressed": lambda rgb: file_of(library.halved(rgb), "JPEG", quality=30),
    "mirrored": lambda rgb: file_of(library.mirrored(rgb)),
    "letterboxed": lambda rgb: file_of(library.letterboxed(rgb)),
    "cropped": lambda rgb: file_of(library.cropped(rgb)),
    "in a player": lambda rgb: file_of(library.played(rgb)),
    "a GIF of one frame": lambda rgb: file_of(rgb, "GIF"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seconds", "edit"),
    [*(("museum", 2.2, edit) for edit in STILLS), ("travel", 1.4, "as it is")],
)
def test_a_still_finds_its_moment(
    videos: dict[str, Video], name: str, seconds: float, edit: str
) -> None:
    hit = first(search(STILLS[edit](frame_at(name, seconds))))
    assert hit.video == videos[name]
    assert abs(hit.offset - seconds * 1000) <= 2 * FRAME_MS
    assert hit.start - FRAME_MS <= hit.offset <= hit.end + FRAME_MS
    assert hit.end - hit.start < 1500
    assert hit.mirrored == (edit == "mirrored")
    assert (hit.speed, hit.query_start, hit.query_end) == (1.0, 0, 0)
    assert [pair.time for pair in hit.matches] == [hit.offset]


def test_parts_are_described_only_where_nothing_is_found_whole(
    videos: dict[str, Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, described = descriptors.get_copy(), 0
    embed = model.embed

    def counted(squares: Any) -> Any:
        nonlocal described
        described += len(squares)
        return embed(squares)

    monkeypatch.setattr(model, "embed", counted)
    assert first(search(file_of(frame_at("museum", 2.2)))).video == videos["museum"]
    assert described == 1
    search(file_of(next(clips.moving("gravel", 1))))
    assert described == 1 + 1 + 4


def frames_of(name: str, start: float, end: float, edit: Any = None) -> list[Pixels]:
    return [edit(rgb) if edit else rgb for rgb in clip_of(name, start, end)]


def encoded(frames: list[Pixels], speed: float = 1.0, **options: Any) -> bytes:
    return clips.encode([(n / 25 / speed, rgb) for n, rgb in enumerate(frames)], **options)


CLIPS: dict[str, Callable[[], bytes]] = {
    "as it is": lambda: encoded(frames_of("museum", 1, 7)),
    "compressed": lambda: encoded(frames_of("museum", 1, 7, library.halved), options={"crf": "35"}),
    "webm": lambda: encoded(frames_of("museum", 1, 7), container="webm"),
    "mirrored": lambda: encoded(frames_of("museum", 1, 7, library.mirrored)),
    "letterboxed": lambda: encoded(frames_of("museum", 1, 7, library.letterboxed)),
    "cropped": lambda: encoded(frames_of("museum", 1, 7, library.cropped)),
    "GIF": lambda: clips.animation(frames_of("museum", 1, 7, library.halved)[::5], "GIF", 200),
}


@pytest.mark.slow
@pytest.mark.parametrize("edit", CLIPS)
def test_a_clip_finds_its_range(videos: dict[str, Video], edit: str) -> None:
    hit = first(search(CLIPS[edit]()))
    assert hit.video == videos["museum"]
    assert abs(hit.start - 1000) <= 2 * FRAME_MS
    assert abs(hit.end - 7000) <= 4 * FRAME_MS
    assert abs(hit.offset - 1000) <= 2 * FRAME_MS
    assert hit.speed == 1.0
    assert hit.mirrored == (edit == "mirrored")
    assert hit.query_start <= 250 and hit.query_end >= 5500
    assert 1 < len(hit.matches) <= video_search.MAX_SHOWN_PAIRS
    for pair in hit.matches:
        assert abs(pair.time - pair.query - 1000) <= 2 * FRAME_MS


@pytest.mark.slow
def test_a_second_is_enough(videos: dict[str, Video]) -> None:
    hit = first(search(encoded(frames_of("travel", 1.5, 2.5))))
    assert hit.video == videos["travel"]
    assert abs(hit.start - 1500) <= 2 * FRAME_MS


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_other_speeds(videos: dict[str, Video], speed: float) -> None:
    hit = first(search(encoded(frames_of("museum", 1, 11), speed)))
    assert hit.video == videos["museum"]
    assert abs(hit.speed - speed) <= 0.03 * speed
    assert abs(hit.start - 1000) <= 300


@pytest.mark.slow
def test_a_montage_finds_each_of_its_parts(videos: dict[str, Video]) -> None:
    parts = frames_of("travel", 1, 3.4) + frames_of("museum", 4.4, 6.8)
    results = search(encoded(parts)).results
    found = {hit.video: hit for hit in results}
    assert set(found) == {videos["travel"], videos["museum"]}
    assert abs(found[videos["travel"]].start - 1000) <= 2 * FRAME_MS
    assert abs(found[videos["museum"]].start - 4400) <= 2 * FRAME_MS
    assert found[videos["museum"]].query_start >= 2200


def test_a_moment_shown_twice_is_ambiguous(videos: dict[str, Video]) -> None:
    answer = search(file_of(frame_at("again", 2)))
    hit = first(answer)
    assert [hit.video for hit in answer.results] == [videos["again"]]
    (other,) = answer.ambiguous
    assert other.video == videos["again"]
    places = sorted([hit.offset, (other.start + other.end) // 2])
    assert abs(places[0] - 2000) <= 2 * FRAME_MS
    assert abs(places[1] - 10_000) <= 2 * FRAME_MS


@pytest.mark.slow
def test_what_two_videos_share_is_ambiguous(videos: dict[str, Video]) -> None:
    answer = search(file_of(frame_at("travel", 6)))
    assert {hit.video for hit in answer.results} == {videos["travel"], videos["remix"]}
    (other,) = answer.ambiguous
    assert other.video == answer.results[1].video
    assert search(file_of(frame_at("travel", 1.4))).ambiguous == []


def test_a_clip_that_two_videos_share(videos: dict[str, Video]) -> None:
    results = search(encoded(frames_of("travel", 5, 11))).results
    assert {hit.video: round(hit.start, -2) for hit in results} == pytest.approx(
        {videos["travel"]: 5000, videos["remix"]: 5000}, abs=2 * FRAME_MS
    )


STRANGERS = ("brick", "grass", "gravel", "moon")


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_not_found(videos: dict[str, Video], name: str) -> None:
    frames = list(clips.moving(name, 3))
    for data in (encoded(frames), file_of(frames[10])):
        answer = search(data)
        assert (answer.results, answer.ambiguous) == ([], [])


EMPTY: dict[str, Callable[[], bytes]] = {
    "black": lambda: file_of(np.zeros((180, 320, 3), np.uint8)),
    "flat": lambda: file_of(np.full((180, 320, 3), 120, np.uint8)),
    "noise": lambda: file_of(noise()),
    "tiny": lambda: file_of(np.zeros((2, 2, 3), np.uint8)),
    "black clip": lambda: encoded(list(clips.plain(0, 2))),
    "flat clip": lambda: encoded(list(clips.plain(120, 2))),
    "title": lambda: encoded([library.title("The End") for _ in range(50)]),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_what_shows_nothing_says_so(videos: dict[str, Video], kind: str) -> None:
    answer = search(EMPTY[kind]())
    assert answer.low_information
    assert (answer.results, answer.ambiguous) == ((), ())


@pytest.mark.slow
@pytest.mark.parametrize("status", ["pending", "quarantined"])
def test_only_ready_videos_answer(videos: dict[str, Video], status: str) -> None:
    Video.objects.filter(pk=videos["remix"].pk).update(status=status)
    for data in (encoded(frames_of("travel", 5, 11)), file_of(frame_at("travel", 6))):
        answer = search(data)
        assert [hit.video for hit in answer.results] == [videos["travel"]]
        assert answer.ambiguous == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "garbage", "none"])
def test_vectors_answer_where_no_proxy_can_be_read(
    videos: dict[str, Video], settings: Any, tmp_path: Any, damage: str
) -> None:
    settings.MEDIA_ROOT = tmp_path
    if damage == "garbage":
        default_storage.save(videos["museum"].proxy.name, ContentFile(b"\0\0\0\x20ftypisom" * 99))
    if damage == "none":
        Video.objects.update(proxy="")
    hit = first(search(encoded(frames_of("museum", 1, 7))))
    assert hit.video == videos["museum"]
    assert abs(hit.start - 1000) <= 1000


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["travel", "remix"])
def test_what_was_proved_on_pictures_comes_before_a_video_without_them(
    videos: dict[str, Video], lost: str
) -> None:
    Video.objects.filter(pk=videos[lost].pk).update(proxy="")
    for data in (encoded(frames_of("travel", 5, 11)), file_of(frame_at("travel", 6))):
        answer = video_search.search_videos(data=data, min_confidence=0.0)
        proved, stored, *_ = answer.results
        assert proved.video == videos["remix" if lost == "travel" else "travel"]
        assert proved.confidence >= calibrations()[proved.kind].precise
        assert (stored.video, stored.kind) == (videos[lost], "stored")


def test_deleted_videos_are_gone(videos: dict[str, Video]) -> None:
    Video.objects.filter(pk=videos["museum"].pk).delete()
    assert search(encoded(frames_of("museum", 1, 7))).results == []


@pytest.mark.slow
def test_limit_and_least_confidence(videos: dict[str, Video]) -> None:
    data = encoded(frames_of("travel", 5, 11))
    assert len(video_search.search_videos(data=data, limit=1).results) == 1
    assert video_search.search_videos(data=data, min_confidence=1.0).results == []


def test_an_empty_gallery() -> None:
    library.clear()
    assert search(file_of(frame_at("travel", 1))).results == []


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotAVideo),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", NotAVideo),
        (clips.encode(clips.timed(clips.plain(0, 2)))[:400], NotAVideo),
        (clips.sound_only(), NotAVideo),
        (file_of(noise())[:5000], NotAnImage),
    ],
    ids=["empty", "playlist", "truncated video", "sound", "truncated picture"],
)
def test_what_is_neither_picture_nor_video(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        search(data)


def test_without_the_model(videos: dict[str, Video], tmp_path: Any) -> None:
    options = {name: dict(values) for name, values in descriptors._options.items()}
    descriptors.configure(models=tmp_path)
    try:
        with pytest.raises(Unavailable):
            search(file_of(frame_at("travel", 1)))
    finally:
        descriptors.configure(models=options["copy"]["directory"])
