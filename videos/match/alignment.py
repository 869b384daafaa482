"""Finds which part of a video a clip shows, from when to when and at which speed.

The clip's frames are compared with the video's stored spans. Hough voting finds a line through the
similar pairs (``hough``). The line is cut to the run of frames that support it, and then fitted.
The evidence it explains is removed and the rest is searched again, since a clip may have several
parts. All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videos.match.hough import STEP, Floats, candidate_speeds, find_peak

SHARPNESS: Final = 0.02
"""Drop in similarity from the best at which a frame's evidence falls to 1/e. Inside a shot all
frames are similar, and only the drop from the best shows the position."""

_BASE_SHARE: Final = 0.25
"""Share of the evidence that does not depend on the drop from the best."""

_RUN_COST: Final = 0.12
"""Evidence that a frame must exceed to lengthen the run."""

_MIN_STRENGTH: Final = 0.15
_MAX_SEGMENTS: Final = 4
_REACH: Final = 2 * STEP
_FINE_STEP: Final = 0.04
_KERNEL: Final = 0.5
_FINE_SPEEDS: Final = 8
_FINE_OTHER_SPEED: Final = 0.95
"""Static shots fit all speeds; only the frames near cuts and in motion distinguish them."""

_PLATEAU: Final = 0.998


@dataclass(frozen=True, slots=True)
class SpanMatch:
    """The numbers of a query frame and of the stored span that it matches."""

    query: int
    span: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the query that was found in the video.

    The query from ``query_start`` to ``query_end`` shows the video from ``start`` to ``end``: video
    time = ``offset`` + ``speed`` × query time. ``rivals``: other starts in this video that fit as
    well.

    ``score``, 0..1: how far above the threshold the pairs are on average. ``coverage``, 0..1: the
    pairs' share of the query's weight. ``distinct``: number of stored spans matched.
    ``similarity``: the mean of the pairs.
    """

    start: float
    end: float
    query_start: float
    query_end: float
    offset: float
    speed: float
    rivals: tuple[float, ...]
    pairs: tuple[SpanMatch, ...]
    score: float
    coverage: float
    similarity: float

    @property
    def distinct(self) -> int:
        return len({pair.span for pair in self.pairs})

    @property
    def rank(self) -> float:
        """Higher for better, longer and more varied matches; comparable between videos."""
        return self.score * float(np.sqrt(self.coverage) * np.log2(1 + self.distinct))


def align(
    similarity: ArrayLike,
    query_times: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    query_weights: ArrayLike,
    weights: ArrayLike,
    threshold: float,
) -> list[Segment]:
    """Return the parts of the query found in one video, best first; at most four.

    ``similarity``: query frames × stored spans, 1 for equal; values below ``threshold`` (< 1) are
    no evidence. ``query_times`` ascend; spans ascend and do not overlap. Weights are 0 for frames
    that may not vote, else 1 ÷ log₂(2 + look-alikes) (``sampling.rarity_weights``).
    """
    given = similarity, query_times, starts, ends, query_weights
    video = _Similarities(*(np.asarray(values, np.float64) for values in given))
    if not video.similarity.size:
        return []
    above = np.clip((video.similarity - threshold) / (1.0 - threshold), 0.0, 1.0)
    absolute = above * video.query_weights[:, None] * np.asarray(weights, np.float64)[None, :]
    left = absolute * _sharp(video.similarity, axis=1)
    found: list[Segment] = []
    for _ in range(_MAX_SEGMENTS):
        segment, rows = _segment(video, absolute, left)
        if segment is None:
            break
        if segment.score * np.sqrt(segment.coverage) >= _MIN_STRENGTH:
            found.append(segment)
        left[rows] = 0.0
    return sorted(found, key=lambda segment: -segment.rank)


@dataclass(frozen=True, slots=True)
class _Similarities:
    similarity: Floats
    query_times: Floats
    starts: Floats
    ends: Floats
    query_weights: Floats


def _sharp(similarity: Floats, axis: int) -> Floats:
    fall = similarity.max(axis=axis, keepdims=True) - similarity
    return np.asarray(_BASE_SHARE + (1.0 - _BASE_SHARE) * np.exp(-fall / SHARPNESS))


def _segment(video: _Similarities, absolute: Floats, left: Floats) -> tuple[Segment | None, slice]:
    best = find_peak(left, video.query_times, video.starts, video.ends)
    if best is None:
        return None, slice(0)
    gains = _along(video, left, best.speed, best.offset)
    first, last = _run(gains - np.where(video.query_weights > 0, _RUN_COST, 0.0))
    rows = slice(first, last + 1)
    speed, offset = _fitted(video, left, rows, best.speed, best.offset)
    pairs = _pairs(video, left, rows, speed, offset)
    if not pairs:
        return None, rows
    matched, spans = [pair.query for pair in pairs], [pair.span for pair in pairs]
    evidence = absolute[matched, spans]
    weight = video.query_weights
    query_start, query_end = float(video.query_times[first]), float(video.query_times[last])
    start, end = np.clip(
        [offset + speed * query_start, offset + speed * query_end], video.starts[0], video.ends[-1]
    )
    segment = Segment(
        start=float(start),
        end=float(end),
        query_start=query_start,
        query_end=query_end,
        offset=offset,
        speed=speed,
        rivals=tuple(max(0.0, rival + best.speed * query_start) for rival in best.rivals),
        pairs=pairs,
        score=float(evidence.sum() / weight[rows].sum()),
        coverage=float(weight[matched].sum() / weight.sum()),
        similarity=float(np.mean([pair.similarity for pair in pairs])),
    )
    return segment, rows


def _along(video: _Similarities, evidence: Floats, speed: float, offset: float) -> Floats:
    near = _distance(video, speed * video.query_times + offset) <= _REACH
    return np.asarray(np.where(near, evidence, 0.0).max(axis=1))


def _run(gains: Floats) -> tuple[int, int]:
    """Return first and last of the consecutive frames with the largest sum of gains (Kadane)."""
    best, first, last = -np.inf, 0, 0
    total, since = 0.0, 0
    for at, gain in enumerate(gains):
        if total <= 0:
            total, since = 0.0, at
        total += gain
        if total > best:
            best, first, last = total, since, at
    return first, last


def _fitted(
    video: _Similarities, evidence: Floats, rows: slice, speed: float, offset: float
) -> tuple[float, float]:
    """Return the speed and offset that the best matching frames agree on.

    The query frame most similar to a stored frame determines its time; frames between two stored
    ones are about as similar to both and say little.
    """
    times = video.query_times[rows]
    middle = float(times.mean())
    near = _distance(video, speed * times + offset) <= _REACH
    columns = np.flatnonzero((near & (evidence[rows] > 0)).any(axis=0))
    if not len(columns):
        return speed, offset
    similarity = np.where(near, video.similarity[rows], -1.0)[:, columns]
    votes = np.where(near, evidence[rows], 0.0)[:, columns] * _sharp(similarity, axis=0) ** 2
    row, column = np.nonzero(votes)
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    vote, low, high = votes[row, column], video.starts[columns[column]], video.ends[columns[column]]
    places = speed * middle + offset + np.arange(-_REACH, _REACH + 1e-9, _FINE_STEP)
    best = -1.0, speed, offset
    for tried in _around(speed, video.query_times, times):
        at = places[:, None] + tried * (times[row] - middle)
        away = np.maximum(np.maximum(low - at, at - high), 0.0)
        # The best stored frame of each query frame counts more if it is nearer to the line.
        agreed = vote * np.maximum(1.0 - away / _KERNEL, 0.0)
        total = np.maximum.reduceat(agreed, firsts, axis=1).sum(axis=1)
        if total.max() * _prior(tried) > best[0]:
            level = np.flatnonzero(total >= _PLATEAU * total.max())
            place = float(places[level].mean())
            best = float(total.max()) * _prior(tried), tried, place - tried * middle
    return best[1], best[2]


def _around(speed: float, query_times: Floats, times: Floats) -> list[float]:
    """Return speeds from one neighbour of ``speed`` in the vote to the other, and 1."""
    voted = candidate_speeds(query_times)
    if len(voted) == 1 or np.ptp(times) < 2.0:
        return [speed]
    ratio = float(voted[1] / voted[0])
    tried = speed * ratio ** np.linspace(-2.0, 2.0, 4 * _FINE_SPEEDS + 1)
    return [1.0, *(float(value) for value in tried)]


def _prior(speed: float) -> float:
    return 1.0 if speed == 1.0 else _FINE_OTHER_SPEED


def _distance(video: _Similarities, at: Floats) -> Floats:
    """Return the seconds from each time to each span, 0 within it."""
    low, high = video.starts[None, :] - at[:, None], at[:, None] - video.ends[None, :]
    return np.maximum(np.maximum(low, high), 0.0)


def _pairs(
    video: _Similarities, evidence: Floats, rows: slice, speed: float, offset: float
) -> tuple[SpanMatch, ...]:
    times = video.query_times[rows]
    close = np.maximum(1.0 - _distance(video, speed * times + offset) / _REACH, 0.0)
    votes = evidence[rows] * close
    spans = votes.argmax(axis=1)
    return tuple(
        SpanMatch(row + rows.start, int(span), float(video.similarity[row + rows.start, span]))
        for row, span in enumerate(spans)
        if votes[row, span] > 0
    )


@dataclass(frozen=True, slots=True)
class MomentMatch:
    """A span of a video that a still may show; seconds. ``span``: its index in the arrays given."""

    video: int
    span: int
    start: float
    end: float
    similarity: float


def find_moments(
    similarity: ArrayLike,
    videos: Sequence[int] | NDArray[np.int64],
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    threshold: float,
    tie: float = 0.01,
) -> list[MomentMatch]:
    """Return the best moment for a still, then others within ``tie`` of it; none below
    ``threshold``.

    All arrays have one entry for each stored span compared, of any videos. Several moments mean
    that the still is ambiguous; neighbouring spans of one video count as one moment.
    """
    values = np.asarray(similarity, np.float64)
    low, high = np.asarray(starts, np.float64), np.asarray(ends, np.float64)
    if not len(values) or values.max() < threshold:
        return []
    good = np.flatnonzero(values >= max(threshold, values.max() - tie))
    found: list[MomentMatch] = []
    for at in good[np.argsort(-values[good], kind="stable")]:
        moment = MomentMatch(
            int(videos[at]), int(at), float(low[at]), float(high[at]), float(values[at])
        )
        if not any(_adjoin(moment, other) for other in found):
            found.append(moment)
    return found


def _adjoin(a: MomentMatch, b: MomentMatch) -> bool:
    return a.video == b.video and max(a.start, b.start) - min(a.end, b.end) <= 3 * STEP
