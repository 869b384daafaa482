"""Which videos share footage with a stored one? Its frames are the query; nothing is decoded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery.shared.errors import NotFound
from videos.match import alignment_candidates
from videos.match.alignment_candidates import Found
from videos.match.confidence import Evidence, confidence, logit
from videos.match.queries import Described
from videos.match.search import Spans, candidates, spans_of
from videos.models import Video

LIMIT = 10

PROPOSING = 192
"""Frames of the video that are looked up in the index."""

PART = 64
"""Spans of the video that are compared at a time: each part may show something else."""

LIKELY = 0.5
"""Somebody looks at what is found here, and no picture of it was compared: it is shown if it is
likelier than not. Three seconds of a long film never reach what a search asks for."""

GAP, AGREEMENT, SAME_SPEED = 10.0, 1.5, 0.05
"""Seconds between two segments that are one, by which the second may be off the first one's line,
and how far their speeds may differ."""


@dataclass(frozen=True, slots=True)
class Range:
    """This video from ``own_start`` to ``own_end`` is the other one from ``start`` to ``end``; ms
    of each."""

    own_start: int
    own_end: int
    start: int
    end: int
    speed: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Shared:
    """Another video with footage of this one. ``share``: of this one's pictures, 0..1."""

    video: Video
    confidence: float
    share: float
    segments: tuple[Range, ...]


@dataclass(frozen=True)
class Answer:
    """``results``: the most certain first, then the most shared. ``low_information``: the video
    has no frame that says anything about it."""

    results: Sequence[Shared] = ()
    low_information: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """One segment, or several that lie on one line, in seconds."""

    own_start: float
    own_end: float
    start: float
    end: float
    speed: float
    evidence: Evidence
    pairs: int

    def continued_by(self, other: _Line) -> bool:
        expected = self.end + self.speed * (other.own_start - self.own_end)
        return (
            other.own_start - self.own_end <= GAP
            and abs(other.start - expected) <= AGREEMENT
            and abs(other.speed - self.speed) <= SAME_SPEED
        )

    def turned(self) -> _Line:
        """The same, seen from the other video."""
        return replace(
            self,
            own_start=self.start,
            own_end=self.end,
            start=self.own_start,
            end=self.own_end,
            speed=1 / self.speed,
        )

    def repeats(self, other: _Line) -> bool:
        """Whether half of either one's time in this video is the other's, too."""
        both = min(self.own_end, other.own_end) - max(self.own_start, other.own_start)
        shorter = min(self.own_end - self.own_start, other.own_end - other.own_start)
        return both > shorter / 2 or (both >= 0 and shorter < 1e-3)

    def joined(self, other: _Line) -> _Line:
        pairs = self.pairs + other.pairs
        a, b = self.evidence, other.evidence
        share = self.pairs / pairs
        evidence = Evidence(
            similarity=share * a.similarity + (1 - share) * b.similarity,
            score=share * a.score + (1 - share) * b.score,
            coverage=max(a.coverage, b.coverage),
            distinct=a.distinct + b.distinct,
        )
        length = max(other.own_end - self.own_start, 1e-3)
        return _Line(
            self.own_start,
            other.own_end,
            self.start,
            other.end,
            (other.end - self.start) / length if length > 1 else self.speed,
            evidence,
            pairs,
        )


def similar(*, video_id: int, limit: int = LIMIT, min_confidence: float | None = None) -> Answer:
    """Other ready videos that share footage with a ready one, at least with ``min_confidence``
    (None: ``LIKELY``). Raises ``NotFound``."""
    if not Video.objects.ready().filter(pk=video_id).exists():
        raise NotFound(f"There is no video {video_id} to compare.")
    own = spans_of([video_id]).get(video_id)
    if own is None:
        return Answer(low_information=True)
    query = _as_query(own)
    proposed = candidates(query, exclude=video_id, proposing=PROPOSING)
    lines = _both_ways(video_id, own, spans_of(list(proposed)))
    videos = Video.objects.ready().in_bulk(list(lines))
    least = LIKELY if min_confidence is None else min_confidence
    shared = [
        found
        for video, others in lines.items()
        if video in videos and (found := _shared(videos[video], own, others, least)) is not None
    ]
    shared.sort(key=lambda one: (-one.confidence, -one.share, one.video.pk))
    return Answer(results=shared[:limit])


def _as_query(own: Spans) -> Described:
    return Described(
        times=(own.t0 + own.t1) // 2,
        weights=own.weights,
        vectors=own.vectors,
        of=own.of,
        parts=np.zeros(len(own.of), np.bool_),
        hashes=own.hashes,
        hashes_of=own.of,
    )


def _parts(query: Described) -> Iterator[Described]:
    for first in range(0, len(query.times), PART):
        rows = (query.of >= first) & (query.of < first + PART)
        yield replace(
            query,
            times=query.times[first : first + PART],
            weights=query.weights[first : first + PART],
            vectors=query.vectors[rows],
            of=query.of[rows] - first,
            parts=query.parts[rows],
            hashes=query.hashes[rows],
            hashes_of=query.hashes_of[rows] - first,
        )


def _both_ways(video_id: int, own: Spans, others: dict[int, Spans]) -> dict[int, list[_Line]]:
    """By video. Each is asked as well: what is all of a short one is too little of a long one."""
    every = defaultdict(list, _lines(_as_query(own), others))
    for video, spans in others.items():
        back = _lines(_as_query(spans), {video_id: own})
        every[video] += [line.turned() for line in back.get(video_id, [])]
    return {video: _distinct(lines) for video, lines in every.items()}


def _distinct(lines: Sequence[_Line]) -> list[_Line]:
    """Without those that a surer one says as well, in the order of this video's time."""
    kept: list[_Line] = []
    for line in sorted(lines, key=lambda one: -logit(one.evidence, "stored")):
        if not any(line.repeats(other) for other in kept):
            kept.append(line)
    return sorted(kept, key=lambda one: one.own_start)


def _lines(query: Described, spans: dict[int, Spans]) -> dict[int, list[_Line]]:
    """By video, in the order of this video's time."""
    every: dict[int, list[_Line]] = defaultdict(list)
    for part in _parts(query):
        for found in alignment_candidates.of_footage(part, spans):
            every[found.video].append(_line(found, part))
    return {video: _joined(lines) for video, lines in every.items()}


def _line(found: Found, part: Described) -> _Line:
    first, last = found.claim.frames[0], found.claim.frames[-1]
    return _Line(
        part.times[first] / 1000,
        part.times[last] / 1000,
        found.start,
        found.end,
        found.claim.speed,
        found.evidence,
        len(found.pairs),
    )


def _joined(lines: Sequence[_Line]) -> list[_Line]:
    done: list[_Line] = []
    for line in sorted(lines, key=lambda one: one.own_start):
        at = next((n for n, earlier in enumerate(done) if earlier.continued_by(line)), None)
        if at is None:
            done.append(line)
        else:
            done[at] = done[at].joined(line)
    return done


def _shared(video: Video, own: Spans, lines: Sequence[_Line], least: float) -> Shared | None:
    """None if none of it is sure enough."""
    sure = [(line, confidence(line.evidence, "stored")) for line in lines]
    sure = [(line, how) for line, how in sure if how >= least]
    if not sure:
        return None
    middles = (own.t0 + own.t1) / 2000
    covered = np.zeros(len(middles), np.bool_)
    for line, _ in sure:
        covered |= (middles >= line.own_start) & (middles <= line.own_end)
    return Shared(
        video,
        round(max(how for _, how in sure), 6),
        round(float(covered.mean()), 4),
        tuple(_range(line, how) for line, how in sure),
    )


def _range(line: _Line, sure: float) -> Range:
    times = (line.own_start, line.own_end, line.start, line.end)
    own_start, own_end, start, end = (max(0, round(seconds * 1000)) for seconds in times)
    return Range(own_start, own_end, start, end, round(line.speed, 4), round(sure, 6))
