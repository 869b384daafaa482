"""Finds the offset and speed at which a query's frames correlate best with those of a video.

Stored vectors find a time to within a second; the frames, decoded again, find it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from videos.decode.thumbnails import Thumbnail, correlation

TimedThumbnail = tuple[float, Thumbnail]
"""Time in seconds, thumbnail."""

SEARCH_REACH: Final = 1.5
"""Seconds by which a time found by stored vectors may be wrong."""

_ALIKE: Final = 0.02
"""Frames look the same if their correlation is lower than the best by at most this much."""

_AS_GOOD: Final = 0.005
"""Speed 1 is preferred if its correlation is lower than another's by at most this much."""

_EQUALLY_GOOD: Final = 0.002
"""Correlations lower than the best by at most this much are as good; the middle one is used."""

_MIN_FRAMES_FOR_SPEED: Final = 6


@dataclass(frozen=True, slots=True)
class ExpectedAlignment:
    """What stored vectors suggest: video time = ``offset`` + ``speed`` × query time, ± ``reach``.

    All in seconds. ``frames``: numbers of the query frames it holds for; ``best``: those of them
    that match best.
    """

    offset: float
    speed: float
    frames: tuple[int, ...]
    best: tuple[int, ...]
    reach: float = SEARCH_REACH

    def is_part_of(self, other: ExpectedAlignment) -> bool:
        """Return whether the other one holds for at least half of these query frames."""
        return 2 * len({*self.frames} & {*other.frames}) >= len(self.frames)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The best offset (seconds) for one way of comparing query and video, and the mean correlation.

    ``shown``, 0..1: the share of the video's picture that the query then shows.
    """

    offset: float
    speed: float
    correlation: float
    mirrored: bool
    query: list[TimedThumbnail]
    video: list[TimedThumbnail]
    shown: float = 1.0


def align_frames(
    query: list[TimedThumbnail],
    video: list[TimedThumbnail],
    expected: ExpectedAlignment,
    mirrored: bool,
    speed: float | None = None,
) -> Alignment:
    """Return the best offset near the expected one. ``speed``: to try instead of the expected
    speed; the expected time of the query's middle is kept."""
    tried = expected.speed if speed is None else speed
    middle = (query[0][0] + query[-1][0]) / 2
    offset, alike = refined_offset(
        query,
        video,
        speed=tried,
        offset=expected.offset + (expected.speed - tried) * middle,
        reach=expected.reach,
    )
    return Alignment(offset, tried, alike, mirrored, query, video)


def with_best_speed(alignment: Alignment, expected: ExpectedAlignment) -> Alignment:
    """Compare three speeds: the given one, the one measured between both ends of the query, and 1.

    Vectors of slow scenes say little about speed, so 1 is preferred if it is nearly as good.
    """
    query, video, mirrored = alignment.query, alignment.video, alignment.mirrored
    if len(query) < _MIN_FRAMES_FOR_SPEED:
        return alignment
    third = len(query) // 3
    ends = [
        align_frames(part, video, expected, mirrored) for part in (query[:third], query[-third:])
    ]
    times = [float(np.mean([t for t, _ in end.query])) for end in ends]
    places = [end.offset + expected.speed * t for end, t in zip(ends, times, strict=True)]
    measured = (places[1] - places[0]) / max(times[1] - times[0], 1e-3)
    tried = [alignment]
    if 0.4 <= measured <= 2.5:
        tried.append(align_frames(query, video, expected, mirrored, measured))
    best = max(tried, key=lambda one: one.correlation)
    plain = align_frames(query, video, expected, mirrored, 1.0)
    return plain if plain.correlation >= best.correlation - _AS_GOOD else best


def matching_interval(alignment: Alignment) -> tuple[float, float]:
    """Return start and end of the interval around the offset that looks like a still."""
    (_, small), times = alignment.query[0], [t for t, _ in alignment.video]
    alike = [
        correlation(small, other) >= alignment.correlation - _ALIKE for _, other in alignment.video
    ]
    first = last = int(np.abs(np.array(times) - alignment.offset).argmin())
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(alike) and alike[last + 1]:
        last += 1
    return min(times[first], alignment.offset), max(times[last], alignment.offset)


def refined_offset(
    query: Sequence[TimedThumbnail],
    window: Sequence[TimedThumbnail],
    *,
    speed: float,
    offset: float,
    reach: float = 1.5,
) -> tuple[float, float]:
    """Return (offset, mean correlation −1..1) where query and video correlate best, within
    ``reach`` of ``offset``; (``offset``, 0) if the window is empty.

    ``window``: all frames of the video from ``reach`` before the first query frame to ``reach``
    after the last. Where the picture does not change, the offset nearest to ``offset`` is kept.
    """
    if not query or not window:
        return offset, 0.0
    times = np.array([t for t, _ in window])
    alike = (
        _unit_vectors([small for _, small in query])
        @ _unit_vectors([small for _, small in window]).T
    )
    expected = np.array([speed * t + offset for t, _ in query])
    # All shifts that put a query frame exactly on a frame of the video.
    shifts = np.unique(np.round((times[None, :] - expected[:, None]).ravel(), 3))
    shifts = shifts[np.abs(shifts) <= reach]
    if not len(shifts):
        return offset, 0.0
    at = _nearest(times, expected[None, :] + shifts[:, None])
    total = alike[np.arange(len(query))[None, :], at].mean(axis=1)
    good = shifts[total >= total.max() - _EQUALLY_GOOD]
    shift = good[np.abs(good - np.median(good)).argmin()]
    if (
        good.min() <= 0.0 <= good.max()
        and total[np.abs(shifts).argmin()] >= total.max() - _EQUALLY_GOOD
    ):
        shift = good[np.abs(good).argmin()]
    return offset + float(shift), float(total.max())


def _unit_vectors(thumbnails: Sequence[Thumbnail]) -> NDArray[np.float64]:
    flat = np.stack([small.ravel() for small in thumbnails]).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-9))


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    right = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    right = np.minimum(right, len(times) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(wanted - times[left]) <= np.abs(times[right] - wanted), left, right)
