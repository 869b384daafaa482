"""Finds the videos that share footage with a stored one, from stored frames alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery.shared.errors import NotFound
from videos.match.alignment_candidates import AlignmentCandidate, footage_candidates
from videos.match.confidence import VideoEvidence, confidence, logit
from videos.match.frame_search import StoredSpans, candidate_videos, load_spans
from videos.match.queries import DescribedQuery
from videos.models import Video

DEFAULT_LIMIT = 10

MAX_PROPOSING_FRAMES = 192
"""Frames of the video that are looked up in the index."""

SPANS_PER_PART = 64
"""Spans of the video that are compared at a time: each part may match another video."""

DEFAULT_CONFIDENCE = 0.5
"""A person checks these results, and no pictures are compared. So everything more likely than
not is listed. Three seconds of a long film never reach the confidence that a search asks for."""

MAX_GAP, MAX_DEVIATION, MAX_SPEED_DIFFERENCE = 10.0, 1.5, 0.05
"""Two segments are joined if at most so many seconds lie between them, if the second is off the
first one's line by at most so many seconds, and if their speeds differ by at most this much."""


@dataclass(frozen=True, slots=True)
class SharedRange:
    """The video from ``own_start`` to ``own_end`` shows the other from ``start`` to ``end``, ms."""

    own_start: int
    own_end: int
    start: int
    end: int
    speed: float
    confidence: float


@dataclass(frozen=True, slots=True)
class SharedFootage:
    """Another video with footage of this one. ``share``: of this one's spans, 0..1."""

    video: Video
    confidence: float
    share: float
    segments: tuple[SharedRange, ...]


@dataclass(frozen=True)
class SharedFootageResult:
    """``results``: the most certain first, then those that share most. ``low_information``: the
    video has no frame that identifies it."""

    results: Sequence[SharedFootage] = ()
    low_information: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _SharedLine:
    """One segment, or several joined because they lie on one line, in seconds."""

    own_start: float
    own_end: float
    start: float
    end: float
    speed: float
    evidence: VideoEvidence
    pairs: int

    def continued_by(self, other: _SharedLine) -> bool:
        expected = self.end + self.speed * (other.own_start - self.own_end)
        return (
            other.own_start - self.own_end <= MAX_GAP
            and abs(other.start - expected) <= MAX_DEVIATION
            and abs(other.speed - self.speed) <= MAX_SPEED_DIFFERENCE
        )

    def swapped(self) -> _SharedLine:
        return replace(
            self,
            own_start=self.start,
            own_end=self.end,
            start=self.own_start,
            end=self.own_end,
            speed=1 / self.speed,
        )

    def repeats(self, other: _SharedLine) -> bool:
        """Return whether the two share at least half of the shorter one's time in this video."""
        both = min(self.own_end, other.own_end) - max(self.own_start, other.own_start)
        shorter = min(self.own_end - self.own_start, other.own_end - other.own_start)
        return both > shorter / 2 or (both >= 0 and shorter < 1e-3)

    def joined(self, other: _SharedLine) -> _SharedLine:
        pairs = self.pairs + other.pairs
        a, b = self.evidence, other.evidence
        share = self.pairs / pairs
        evidence = VideoEvidence(
            similarity=share * a.similarity + (1 - share) * b.similarity,
            score=share * a.score + (1 - share) * b.score,
            coverage=max(a.coverage, b.coverage),
            distinct=a.distinct + b.distinct,
        )
        length = max(other.own_end - self.own_start, 1e-3)
        return _SharedLine(
            self.own_start,
            other.own_end,
            self.start,
            other.end,
            (other.end - self.start) / length if length > 1 else self.speed,
            evidence,
            pairs,
        )


def find_shared_footage(
    *, video_id: int, limit: int = DEFAULT_LIMIT, min_confidence: float | None = None
) -> SharedFootageResult:
    """Return other ready videos that share footage with a ready one, at least with
    ``min_confidence`` (None: ``DEFAULT_CONFIDENCE``). Raises ``NotFound``."""
    if not Video.objects.ready().filter(pk=video_id).exists():
        raise NotFound(f"There is no video {video_id} to compare.")
    own = load_spans([video_id]).get(video_id)
    if own is None:
        return SharedFootageResult(low_information=True)
    query = _as_query(own)
    proposed = candidate_videos(query, exclude=video_id, proposing=MAX_PROPOSING_FRAMES)
    lines = _both_ways(video_id, own, load_spans(list(proposed)))
    videos = Video.objects.ready().in_bulk(list(lines))
    least = DEFAULT_CONFIDENCE if min_confidence is None else min_confidence
    shared = [
        found
        for video, others in lines.items()
        if video in videos and (found := _shared(videos[video], own, others, least)) is not None
    ]
    shared.sort(key=lambda one: (-one.confidence, -one.share, one.video.pk))
    return SharedFootageResult(results=shared[:limit])


def _as_query(own: StoredSpans) -> DescribedQuery:
    return DescribedQuery(
        times=(own.t0 + own.t1) // 2,
        weights=own.weights,
        vectors=own.vectors,
        vector_frames=own.span_of,
        parts=np.zeros(len(own.span_of), np.bool_),
        hashes=own.hashes,
        hash_frames=own.span_of,
    )


def _parts(query: DescribedQuery) -> Iterator[DescribedQuery]:
    for first in range(0, len(query.times), SPANS_PER_PART):
        rows = (query.vector_frames >= first) & (query.vector_frames < first + SPANS_PER_PART)
        yield replace(
            query,
            times=query.times[first : first + SPANS_PER_PART],
            weights=query.weights[first : first + SPANS_PER_PART],
            vectors=query.vectors[rows],
            vector_frames=query.vector_frames[rows] - first,
            parts=query.parts[rows],
            hashes=query.hashes[rows],
            hash_frames=query.hash_frames[rows] - first,
        )


def _both_ways(
    video_id: int, own: StoredSpans, others: dict[int, StoredSpans]
) -> dict[int, list[_SharedLine]]:
    """Compares in both directions: all of a short video may be too little of a long one."""
    every = defaultdict(list, _lines(_as_query(own), others))
    for video, spans in others.items():
        back = _lines(_as_query(spans), {video_id: own})
        every[video] += [line.swapped() for line in back.get(video_id, [])]
    return {video: _distinct(lines) for video, lines in every.items()}


def _distinct(lines: Sequence[_SharedLine]) -> list[_SharedLine]:
    """Remove lines that repeat a more certain one; sort by this video's time."""
    kept: list[_SharedLine] = []
    for line in sorted(lines, key=lambda one: -logit(one.evidence, "stored")):
        if not any(line.repeats(other) for other in kept):
            kept.append(line)
    return sorted(kept, key=lambda one: one.own_start)


def _lines(query: DescribedQuery, spans: dict[int, StoredSpans]) -> dict[int, list[_SharedLine]]:
    every: dict[int, list[_SharedLine]] = defaultdict(list)
    for part in _parts(query):
        for found in footage_candidates(part, spans):
            every[found.video].append(_line(found, part))
    return {video: _joined(lines) for video, lines in every.items()}


def _line(found: AlignmentCandidate, part: DescribedQuery) -> _SharedLine:
    first, last = found.expected.frames[0], found.expected.frames[-1]
    return _SharedLine(
        part.times[first] / 1000,
        part.times[last] / 1000,
        found.start,
        found.end,
        found.expected.speed,
        found.evidence,
        len(found.pairs),
    )


def _joined(lines: Sequence[_SharedLine]) -> list[_SharedLine]:
    done: list[_SharedLine] = []
    for line in sorted(lines, key=lambda one: one.own_start):
        at = next((n for n, earlier in enumerate(done) if earlier.continued_by(line)), None)
        if at is None:
            done.append(line)
        else:
            done[at] = done[at].joined(line)
    return done


def _shared(
    video: Video, own: StoredSpans, lines: Sequence[_SharedLine], least: float
) -> SharedFootage | None:
    """None if no line is certain enough."""
    rated = [(line, confidence(line.evidence, "stored")) for line in lines]
    rated = [(line, value) for line, value in rated if value >= least]
    if not rated:
        return None
    middles = (own.t0 + own.t1) / 2000
    covered = np.zeros(len(middles), np.bool_)
    for line, _ in rated:
        covered |= (middles >= line.own_start) & (middles <= line.own_end)
    return SharedFootage(
        video,
        round(max(value for _, value in rated), 6),
        round(float(covered.mean()), 4),
        tuple(_range(line, value) for line, value in rated),
    )


def _range(line: _SharedLine, confidence: float) -> SharedRange:
    times = (line.own_start, line.own_end, line.start, line.end)
    own_start, own_end, start, end = (max(0, round(seconds * 1000)) for seconds in times)
    return SharedRange(own_start, own_end, start, end, round(line.speed, 4), round(confidence, 6))
