"""Finds alignment candidates: which part of which video may show which part of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from videos.match.alignment import MomentMatch, Segment, align, find_moments
from videos.match.confidence import VideoEvidence
from videos.match.frame_search import StoredSpans, frame_similarity
from videos.match.queries import DescribedQuery
from videos.match.temporal_alignment import SEARCH_REACH, ExpectedAlignment
from videos.match.verification import MAX_COMPARED_PAIRS

THRESHOLD: Final = 0.35
"""Least similarity of a stored frame that is evidence of a match."""

TIE: Final = 0.2
"""Moments less similar to a still than the best by at most this much are candidates, too."""


@dataclass(frozen=True, slots=True, eq=False)
class AlignmentCandidate:
    """A possible alignment and the evidence of the stored vectors for it.

    ``start``, ``end``: seconds of the video. ``pairs``: (query frame, similarity). ``rivals``:
    other starts in the same video that fit as well.
    """

    video: int
    expected: ExpectedAlignment
    evidence: VideoEvidence
    start: float
    end: float
    pairs: tuple[tuple[int, float], ...]
    rivals: tuple[float, ...] = ()


def footage_candidates(
    query: DescribedQuery, spans: Mapping[int, StoredSpans]
) -> list[AlignmentCandidate]:
    return [
        _of_segment(video, segment, query)
        for video, stored in spans.items()
        for segment in align(
            frame_similarity(query, stored),
            query.times / 1000,
            stored.t0 / 1000,
            stored.t1 / 1000,
            query_weights=query.weights,
            weights=stored.weights,
            threshold=THRESHOLD,
        )
    ]


def still_candidates(
    query: DescribedQuery, spans: Mapping[int, StoredSpans]
) -> list[AlignmentCandidate]:
    """Return the moments that a still may show, the most similar first."""
    if not spans:
        return []
    every = list(spans.values())
    found = find_moments(
        np.concatenate([frame_similarity(query, stored)[0] for stored in every]),
        np.repeat(list(spans), [len(stored.t0) for stored in every]),
        np.concatenate([stored.t0 for stored in every]) / 1000,
        np.concatenate([stored.t1 for stored in every]) / 1000,
        threshold=THRESHOLD,
        tie=TIE,
    )
    return [_of_moment(moment) for moment in found]


def _of_segment(video: int, segment: Segment, query: DescribedQuery) -> AlignmentCandidate:
    pairs = sorted(segment.pairs, key=lambda pair: pair.query)
    within = (query.times / 1000 >= segment.query_start) & (query.times / 1000 <= segment.query_end)
    # The best pair of each third, so that the pairs show different moments.
    thirds = [
        part for part in np.array_split(np.arange(len(pairs)), MAX_COMPARED_PAIRS) if len(part)
    ]
    best = [max((pairs[at] for at in part), key=lambda pair: pair.similarity) for part in thirds]
    expected = ExpectedAlignment(
        segment.offset,
        segment.speed,
        tuple(np.flatnonzero(within).tolist()),
        tuple(pair.query for pair in best),
    )
    evidence = VideoEvidence(segment.similarity, segment.score, segment.coverage, segment.distinct)
    return AlignmentCandidate(
        video,
        expected,
        evidence,
        segment.start,
        segment.end,
        tuple((pair.query, pair.similarity) for pair in pairs),
        segment.rivals,
    )


def _of_moment(moment: MomentMatch) -> AlignmentCandidate:
    middle, half = (moment.start + moment.end) / 2, (moment.end - moment.start) / 2
    expected = ExpectedAlignment(middle, 1.0, (0,), (0,), reach=half + SEARCH_REACH)
    score = max(0.0, (moment.similarity - THRESHOLD) / (1.0 - THRESHOLD))
    return AlignmentCandidate(
        moment.video,
        expected,
        VideoEvidence(moment.similarity, score, 1.0, 1),
        moment.start,
        moment.end,
        ((0, moment.similarity),),
    )


def limit_per_video(found: Sequence[AlignmentCandidate], count: int) -> list[AlignmentCandidate]:
    seen: dict[int, int] = {}
    kept = []
    for one in found:
        seen[one.video] = seen.get(one.video, 0) + 1
        if seen[one.video] <= count:
            kept.append(one)
    return kept
