"""From similar frames to claims: this part of this video shows that part of the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from videos.match.alignment import (
    Moment,
    Segment,
    align,
    moments,
)
from videos.match.confidence import Evidence
from videos.match.queries import Described
from videos.match.search import Spans, similarity
from videos.match.temporal_alignment import REACH, Claim
from videos.match.verifying import PAIRS

THRESHOLD: Final = 0.35
"""Similarity from which on a stored frame is evidence for being the query's."""

TIE: Final = 0.2
"""Moments less similar to a still than the best by no more than this are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A claim about a video and what vectors say for it. ``start``, ``end``: seconds of the video;
    ``pairs``: (query frame, similarity); ``rivals``: other starts that fit as well."""

    video: int
    claim: Claim
    evidence: Evidence
    start: float
    end: float
    pairs: tuple[tuple[int, float], ...]
    rivals: tuple[float, ...] = ()


def of_footage(query: Described, spans: Mapping[int, Spans]) -> list[Found]:
    """The parts of the query that are found in each of the videos."""
    return [
        _of_segment(video, segment, query)
        for video, stored in spans.items()
        for segment in align(
            similarity(query, stored),
            query.times / 1000,
            stored.t0 / 1000,
            stored.t1 / 1000,
            query_weights=query.weights,
            weights=stored.weights,
            threshold=THRESHOLD,
        )
    ]


def of_still(query: Described, spans: Mapping[int, Spans]) -> list[Found]:
    """The moments that a picture may show, the most similar first."""
    if not spans:
        return []
    every = list(spans.values())
    found = moments(
        np.concatenate([similarity(query, stored)[0] for stored in every]),
        np.repeat(list(spans), [len(stored.t0) for stored in every]),
        np.concatenate([stored.t0 for stored in every]) / 1000,
        np.concatenate([stored.t1 for stored in every]) / 1000,
        threshold=THRESHOLD,
        tie=TIE,
    )
    return [_of_moment(moment) for moment in found]


def _of_segment(video: int, segment: Segment, query: Described) -> Found:
    pairs = sorted(segment.pairs, key=lambda pair: pair.query)
    within = (query.times / 1000 >= segment.query_start) & (query.times / 1000 <= segment.query_end)
    # The best of each third, so that they do not all show the same.
    thirds = [part for part in np.array_split(np.arange(len(pairs)), PAIRS) if len(part)]
    best = [max((pairs[at] for at in part), key=lambda pair: pair.similarity) for part in thirds]
    claim = Claim(
        segment.offset,
        segment.speed,
        tuple(np.flatnonzero(within).tolist()),
        tuple(pair.query for pair in best),
    )
    evidence = Evidence(segment.similarity, segment.score, segment.coverage, segment.distinct)
    return Found(
        video,
        claim,
        evidence,
        segment.start,
        segment.end,
        tuple((pair.query, pair.similarity) for pair in pairs),
        segment.rivals,
    )


def _of_moment(moment: Moment) -> Found:
    middle, half = (moment.start + moment.end) / 2, (moment.end - moment.start) / 2
    claim = Claim(middle, 1.0, (0,), (0,), reach=half + REACH)
    score = max(0.0, (moment.similarity - THRESHOLD) / (1.0 - THRESHOLD))
    return Found(
        moment.video,
        claim,
        Evidence(moment.similarity, score, 1.0, 1),
        moment.start,
        moment.end,
        ((0, moment.similarity),),
    )


def at_most_each(found: Sequence[Found], count: int) -> list[Found]:
    """No more than ``count`` of each video, in the order given."""
    seen: dict[int, int] = {}
    kept = []
    for one in found:
        seen[one.video] = seen.get(one.video, 0) + 1
        if seen[one.video] <= count:
            kept.append(one)
    return kept
