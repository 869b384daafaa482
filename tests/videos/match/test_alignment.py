"""Similar frames → which part of a video: times, speeds, several segments, and nothing at all."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from tests.videos.clips import Pixels, animation, encode, moving, plain, still, timed
from videos.decode.decoder_protocol import DecodedFrame, VideoLimits
from videos.decode.decoding import decode
from videos.decode.frame_quality import frame_kind
from videos.decode.thumbnails import grey_thumbnail
from videos.index.sampling import SAMPLES_PER_SECOND, find_spans, spread_frames
from videos.match.alignment import Segment, align, find_moments
from videos.match.temporal_alignment import refined_offset

RATE = 25
THRESHOLD = 0.6
SHOTS = (
    ("astronaut", 4.0), ("coffee", 3.0), ("chelsea", 5.0), ("camera", 2.0), ("rocket", 6.0),
    ("coins", 3.0), ("immunohistochemistry", 4.0), ("retina", 3.0),
)  # fmt: skip
OTHERS = (("brick", 5.0), ("page", 5.0), ("grass", 5.0), ("text", 5.0))


@dataclass(frozen=True)
class Indexed:
    starts: np.ndarray
    ends: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray


def film(shots: Sequence[tuple[str, float]]) -> list[Pixels]:
    out: list[Pixels] = []
    for name, seconds in shots:
        end = 0.2 + 0.08 * seconds, 0.3 + 0.04 * seconds, 0.7 - 0.02 * seconds
        out += moving(name, seconds, rate=RATE, start=(0.2, 0.3, 0.7), end=end)
    return out


@functools.cache
def pictures() -> list[Pixels]:
    """Thirty seconds of moving photographs."""
    return film(SHOTS)


def vectors(frames: Sequence[Pixels]) -> np.ndarray:
    """Stands in for a learned descriptor: 16 × 16 colour means, centred, of unit length."""
    small = [cv2.resize(f, (16, 16), interpolation=cv2.INTER_AREA).ravel() for f in frames]
    flat = np.stack(small).astype(float)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def encoded(frames: Sequence[Pixels]) -> bytes:
    return encode(timed(frames, RATE), options={"crf": "26"})


@functools.cache
def whole() -> bytes:
    return encoded(pictures())


def index(frames: Sequence[Pixels]) -> Indexed:
    return index_file(encoded(frames))


def index_file(data: bytes) -> Indexed:
    with decode(io.BytesIO(data), VideoLimits(), fps=SAMPLES_PER_SECOND) as video:
        found = list(find_spans(video))
    return Indexed(
        np.array([span.t0 for span in found]) / 1000,
        np.array([span.t1 for span in found]) / 1000,
        vectors([span.picture for span in found]),
        np.array([float(span.votes) for span in found]),
    )


@functools.cache
def indexed() -> Indexed:
    return index_file(whole())


@functools.cache
def unrelated() -> Indexed:
    return index(film(OTHERS))


def query(data: bytes) -> list[DecodedFrame]:
    with decode(io.BytesIO(data), VideoLimits(), fps=8) as video:
        return spread_frames(video)


def search(frames: Sequence[DecodedFrame], video: Indexed) -> list[Segment]:
    weights = [
        float(frame_kind(frame.rgb, grey_thumbnail(frame.rgb)) == "picture") for frame in frames
    ]
    return align(
        vectors([frame.rgb for frame in frames]) @ video.vectors.T,
        [frame.t / 1000 for frame in frames],
        video.starts,
        video.ends,
        query_weights=weights,
        weights=video.weights,
        threshold=THRESHOLD,
    )


def clip(start: float, seconds: float, speed: float = 1.0, crf: int = 35) -> bytes:
    """Part of the film, played faster, badly encoded."""
    part = pictures()[round(start * RATE) : round((start + seconds) * RATE)]
    return encode([(n / RATE / speed, p) for n, p in enumerate(part)], options={"crf": str(crf)})


# --- clips


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 1.7, 5.2, 11.4, 16.0, 22.3])
@pytest.mark.parametrize("seconds", [1.0, 3.0, 7.5])
def test_a_clip_is_found_at_its_time(start: float, seconds: float) -> None:
    frames = query(clip(start, seconds))
    best = search(frames, indexed())[0]
    assert best.start == pytest.approx(start + best.query_start, abs=0.75)
    assert best.end == pytest.approx(start + best.query_end, abs=0.75)
    assert best.speed == pytest.approx(1.0, abs=0.25)
    assert 0.0 < best.score <= 1.0


@pytest.mark.slow
def test_start_times_are_exact_in_the_median() -> None:
    starts = np.arange(0.3, 24, 1.9)
    errors = [abs(search(query(clip(at, 5.0)), indexed())[0].start - at) for at in starts]
    assert np.median(errors) <= 0.15
    assert max(errors) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_speed_is_found(speed: float) -> None:
    best = search(query(clip(4.0, 12.0, speed)), indexed())[0]
    assert best.speed == pytest.approx(speed, rel=0.06)
    assert best.start == pytest.approx(4.0, abs=0.5)
    assert best.end == pytest.approx(16.0, abs=0.7)


@pytest.mark.slow
def test_a_gif_is_found() -> None:
    part = pictures()[8 * RATE : 11 * RATE : 2]
    small = [cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA) for picture in part]
    best = search(query(animation(small, "GIF", 80)), indexed())[0]
    assert best.start == pytest.approx(8.0, abs=0.4)


def test_pairs_lie_on_the_line() -> None:
    frames = query(clip(6.0, 6.0))
    best = search(frames, indexed())[0]
    video = indexed()
    assert len(best.pairs) > 20
    assert best.distinct == len({pair.span for pair in best.pairs}) > 3
    for pair in best.pairs:
        at = best.offset + best.speed * frames[pair.query].t / 1000
        assert video.starts[pair.span] - 1.0 <= at <= video.ends[pair.span] + 1.0
        assert THRESHOLD < pair.similarity <= 1.0


def test_a_montage_gives_its_segments() -> None:
    parts = [(20.0, 3.0), (8.0, 3.0), (1.0, 2.5)]
    cut = [p for at, s in parts for p in pictures()[round(at * RATE) : round((at + s) * RATE)]]
    found = search(query(encode(timed(cut, RATE))), indexed())
    by_query = sorted(found, key=lambda segment: segment.query_start)
    assert len(by_query) == 3
    at = 0.0
    for segment, (start, seconds) in zip(by_query, parts, strict=True):
        assert segment.query_start == pytest.approx(at, abs=0.5)
        assert segment.start == pytest.approx(start, abs=0.6)
        assert segment.end == pytest.approx(start + seconds, abs=0.6)
        at += seconds


@pytest.mark.slow
def test_foreign_footage_around_a_clip_is_trimmed() -> None:
    cut = [*film((("brick", 3.0),)), *pictures()[9 * RATE : 14 * RATE], *film((("grass", 3.0),))]
    best = search(query(encode(timed(cut, RATE))), indexed())[0]
    assert (best.query_start, best.query_end) == (
        pytest.approx(3.0, abs=0.4),
        pytest.approx(8.0, abs=0.4),
    )
    assert (best.start, best.end) == (pytest.approx(9.0, abs=0.5), pytest.approx(14.0, abs=0.5))
    assert best.coverage < 0.7


def test_black_frames_within_a_clip_cost_nothing() -> None:
    black = list(plain(0, 1.0, rate=RATE))
    whole = pictures()[9 * RATE : 14 * RATE]
    with_black = [*whole[: 2 * RATE], *black, *whole[3 * RATE :]]
    best = search(query(encode(timed(with_black, RATE))), indexed())[0]
    assert best.start == pytest.approx(9.0, abs=0.4)
    assert best.query_end - best.query_start > 4.5
    assert best.coverage > 0.9


# --- what must not be found


@pytest.mark.slow
def test_unrelated_clips_rank_far_below_clips_that_are_there() -> None:
    frames = [query(clip(at, 5.0)) for at in (1.0, 8.0, 15.0, 22.0)]
    there = [search(one, indexed())[0].rank for one in frames]
    not_there = [segment.rank for one in frames for segment in search(one, unrelated())]
    assert max(not_there, default=0.0) < 0.3 * min(there)


def test_black_and_flat_queries_find_nothing() -> None:
    video = index([*pictures()[: 5 * RATE], *plain(0, 3.0, rate=RATE), *plain(128, 3.0, rate=RATE)])
    for colour in (0, 128, 255):
        assert search(query(encode(timed(plain(colour, 2.0, rate=RATE), RATE))), video) == []


def test_a_static_shot_does_not_outvote_a_moving_one() -> None:
    """Thirty seconds of a still that is fairly like everything, against the true three."""
    query_times = np.arange(0, 3, 0.25)
    starts, ends = np.array([0.0, 40.0, 41.0, 42.0]), np.array([30.0, 40.2, 41.2, 42.2])
    similarity = np.full((12, 4), 0.3)
    similarity[:, 0] = 0.8
    for row, at in enumerate(query_times):
        similarity[row, 1 + int(at)] = 0.95 - 0.1 * (at % 1.0)
    ones = np.ones
    best = align(
        similarity, query_times, starts, ends,
        query_weights=ones(12), weights=ones(4), threshold=0.6,
    )[0]  # fmt: skip
    assert best.start == pytest.approx(40.0, abs=0.4)


def test_nothing_to_compare_gives_nothing() -> None:
    empty = np.zeros((0, 0))
    none = np.zeros(0)
    assert align(empty, none, none, none, query_weights=none, weights=none, threshold=0.5) == []
    one = np.ones(1)
    low = align([[0.4]], [0.0], [1.0], [2.0], query_weights=one, weights=one, threshold=0.5)
    unweighted = align(
        [[1.0]], [0.0], [1.0], [2.0], query_weights=np.zeros(1), weights=one, threshold=0.5
    )
    assert low == unweighted == []


@pytest.mark.slow
def test_footage_shown_twice_has_a_rival() -> None:
    twice = [*pictures()[: 8 * RATE], *film((("brick", 6.0),)), *pictures()[: 8 * RATE]]
    best = search(query(clip(2.0, 4.0)), index(twice))[0]
    places = sorted([best.start, *best.rivals])
    assert len(places) == 2
    assert places[0] == pytest.approx(2.0, abs=1.0)
    assert places[1] == pytest.approx(16.0, abs=1.0)


def test_a_long_video_takes_milliseconds() -> None:
    import time

    rng = np.random.default_rng(0)
    starts = np.arange(7200) * 1.0
    similarity = rng.uniform(0.2, 0.75, (64, 7200))
    rows = np.arange(64)
    similarity[rows, 3000 + rows // 8] = 0.95
    began = time.process_time()
    best = align(
        similarity, rows / 8, starts, starts + 0.5,
        query_weights=np.ones(64), weights=np.ones(7200), threshold=0.6,
    )[0]  # fmt: skip
    assert best.start == pytest.approx(3000, abs=0.6)
    assert time.process_time() - began < 2.0


# --- stills


def test_a_still_is_found_and_its_equals_are_told() -> None:
    found = find_moments(
        [0.5, 0.97, 0.965, 0.968, 0.9], [7, 7, 7, 8, 8], [0, 1, 2, 10, 30], [1, 1.8, 2.5, 12, 31],
        threshold=0.6,
    )  # fmt: skip
    assert [(m.video, m.span) for m in found] == [(7, 1), (8, 3)]
    assert (found[0].start, found[0].end, found[0].similarity) == (1.0, 1.8, 0.97)


def test_a_still_that_is_nowhere() -> None:
    assert find_moments([0.3, 0.5], [1, 1], [0, 1], [1, 2], threshold=0.6) == []
    assert find_moments([], [], [], [], threshold=0.6) == []


@pytest.mark.parametrize("at", [0.5, 4.9, 9.3, 13.0, 17.7, 28.0])
def test_a_screenshot_is_found_within_a_second(at: float) -> None:
    video = indexed()
    similarity = (vectors([pictures()[round(at * RATE)]]) @ video.vectors.T)[0]
    best = find_moments(
        similarity, np.zeros(len(similarity), int), video.starts, video.ends, threshold=THRESHOLD
    )[0]
    assert best.start - 1.0 <= at <= best.end + 1.0


# --- refining


def window(start: float, end: float) -> list[tuple[float, np.ndarray]]:
    with decode(
        io.BytesIO(whole()), VideoLimits(), start_ms=round(start * 1000), end_ms=round(end * 1000)
    ) as video:
        return [(frame.t / 1000, grey_thumbnail(frame.rgb)) for frame in video]


@pytest.mark.parametrize("at", [1.24, 9.52, 15.0, 24.36])
def test_a_screenshot_is_placed_on_its_frame(at: float) -> None:
    shot = grey_thumbnail(pictures()[round(at * RATE)])
    offset, alike = refined_offset(
        [(0.0, shot)], window(at - 2, at + 2), speed=1.0, offset=at + 0.9
    )
    assert offset == pytest.approx(at, abs=0.05)
    assert alike > 0.98


def test_a_clip_is_placed_on_its_frame() -> None:
    frames = query(clip(9.4, 3.0))
    best = search(frames, indexed())[0]
    offset, alike = refined_offset(
        [(frame.t / 1000, grey_thumbnail(frame.rgb)) for frame in frames],
        window(best.start - 2, best.end + 2),
        speed=1.0,
        offset=best.offset,
    )
    assert offset == pytest.approx(9.4, abs=0.05)
    assert alike > 0.97


def test_where_nothing_moves_the_given_time_is_kept() -> None:
    look = grey_thumbnail(next(still("coffee", 1)))
    unmoving = [(n / RATE, look) for n in range(100)]
    offset, alike = refined_offset([(0.0, look)], unmoving, speed=1.0, offset=2.0)
    assert (offset, alike) == (pytest.approx(2.0, abs=0.02), pytest.approx(1.0))


def test_nothing_to_refine_with() -> None:
    look = grey_thumbnail(next(still("coffee", 1)))
    assert refined_offset([(0.0, look)], [], speed=1.0, offset=3.0) == (3.0, 0.0)
    assert refined_offset([], [(0.0, look)], speed=1.0, offset=3.0) == (3.0, 0.0)
    far = [(100.0, look)]
    assert refined_offset([(0.0, look)], far, speed=1.0, offset=3.0) == (3.0, 0.0)
