"""Precision and recall at every threshold, estimated from decided matches.

All matches of a list and match type are recorded up to the observe distance. All those within the
threshold of their time entered the queue. Of those beyond it, a random share did, and each one
stands for 1 / share matches (``weight``). Some of the queue is undecided, and people do not decide
in random order. So decided matches are weighted twice: by 1 / share, and within ranges of distance
that have enough decisions, so that together they stand for all recorded matches there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.cases.intervals import MIN_DECIDED, Floats, Interval, Tally, share

CLASS_SIZE: Final = 15
"""Decisions that a range of distance needs, to stand for all matches in it."""
EQUAL_WITHIN: Final = 1e-9
"""Distances this close count as equal. Thresholds are inclusive."""
STEPS: Final = 60


class MatchOutcome(IntEnum):
    UNDECIDED = -1
    DISMISSED = 0
    CONFIRMED = 1


@dataclass(frozen=True, slots=True)
class RecordedMatches:
    """The recorded matches, one per subject, by ascending distance.

    ``weights``: 1 / the share of such matches that entered the queue. ``queued``: whether all such
    matches did, because they were within the threshold of their time.
    """

    distances: Floats
    outcomes: NDArray[np.int8]
    weights: Floats
    queued: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[tuple[float, int, float, bool]]) -> RecordedMatches:
        """Take rows of (distance, outcome, weight, queued), in any order."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)
        table = table[np.argsort(table[:, 0], kind="stable")]
        columns = np.ascontiguousarray(table.T)
        return cls(columns[0], columns[1].astype(np.int8), columns[2], columns[3] > 0)

    @property
    def decided(self) -> int:
        return int(np.count_nonzero(self.outcomes != MatchOutcome.UNDECIDED))


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold, and the numbers of recorded matches within it: all, decided, confirmed.
    ``precision`` and ``recall`` are None with too few decisions."""

    threshold: float
    matched: int
    decided: int
    confirmed: int
    precision: Interval | None
    recall: Interval | None


@dataclass(frozen=True, slots=True)
class Curves:
    """One point per threshold, ascending."""

    points: tuple[Point, ...]

    def at(self, threshold: float) -> Point | None:
        """Return the last point that is not beyond the threshold."""
        within = [point for point in self.points if point.threshold <= threshold + EQUAL_WITHIN]
        return within[-1] if within else None


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the histogram: low < distance ≤ high. The first bar includes ``low``."""

    low: float
    high: float
    confirmed: int
    dismissed: int
    undecided: int


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    added: int
    dropped: int
    confirmed: int
    dismissed: int


def grid(observe: float, whole: bool) -> list[float]:
    """Return the thresholds from 0 to ``observe``: each whole number, or ``STEPS`` equal steps."""
    if whole:
        return [float(step) for step in range(int(observe) + 1)]
    return [round(observe * step / STEPS, 6) for step in range(STEPS + 1)]


def curves(evidence: RecordedMatches, thresholds: Sequence[float]) -> Curves:
    """Estimate precision and recall at ascending thresholds. The last must be the observe distance.

    Recall: of all confirmed matches within the observe distance, the share within the threshold.
    Matches that were never recorded are not in it.
    """
    distances, outcomes = evidence.distances, evidence.outcomes
    yes, no = outcomes == MatchOutcome.CONFIRMED, outcomes == MatchOutcome.DISMISSED
    weights = standing_for(evidence)
    cuts = np.searchsorted(distances, np.asarray(thresholds) + EQUAL_WITHIN, side="right")
    decided, confirmed = _before((yes | no).astype(np.float64)), _before(yes.astype(np.float64))
    heavy, heavy_beyond = _heaviest(weights, cuts)
    right, right_squared = _before(weights * yes), _before(weights**2 * yes)
    found = Tally(right[cuts], right_squared[cuts], heavy)
    wrong = Tally(_before(weights * no)[cuts], _before(weights**2 * no)[cuts], heavy)
    missed = Tally(right[-1] - right[cuts], right_squared[-1] - right_squared[cuts], heavy_beyond)
    enough = decided[cuts] >= MIN_DECIDED
    # If there are matches beyond a threshold but none of them is decided, recall is unknown.
    known = (cuts == len(distances)) | (decided[-1] > decided[cuts])
    precision = _intervals(share(found, wrong), enough)
    recall = _intervals(share(found, missed), known & (decided[-1] >= MIN_DECIDED))
    if recall and recall[-1]:
        recall[-1] = Interval(1.0, 1.0, 1.0)
    counts = (cuts, decided[cuts].astype(int), confirmed[cuts].astype(int))
    rows = zip(thresholds, *(part.tolist() for part in counts), precision, recall, strict=True)
    return Curves(tuple(Point(*row) for row in rows))


def standing_for(evidence: RecordedMatches) -> Floats:
    """Return how many recorded matches each match stands for: 0 if it is undecided.

    Neighbouring distances form a class until it has ``CLASS_SIZE`` decisions. In each class, the
    decided matches share all recorded matches in proportion to their sampling weights. Matches
    within and beyond the threshold of their time have separate classes, because a sample of the
    latter must not stand for the former.
    """
    decided = evidence.outcomes != MatchOutcome.UNDECIDED
    weights = np.where(decided, evidence.weights, 0.0)
    for group in (evidence.queued, ~evidence.queued):
        weights[group] = _shared_out(evidence.distances[group], decided[group], weights[group])
    return weights


def _shared_out(distances: Floats, decided: NDArray[np.bool_], weights: Floats) -> Floats:
    number, mass = _before(decided.astype(np.float64)), _before(weights)
    shared = weights.copy()
    start, size = 0, len(weights)
    while start < size:
        full = int(np.searchsorted(number, number[start] + CLASS_SIZE))
        # A class ends after the last match at the distance that fills it.
        end = int(np.searchsorted(distances, distances[min(full, size) - 1], side="right"))
        if number[size] - number[end] < CLASS_SIZE:
            end = size
        if (held := mass[end] - mass[start]) > 0:
            shared[start:end] *= (end - start) / held
        start = end
    return shared


def _before(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _heaviest(weights: Floats, cuts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return the largest weight within and beyond each cut; 1 where there is none."""
    padded = np.concatenate([[0.0], weights, [0.0]])
    within = np.maximum.accumulate(padded)[cuts]
    beyond = np.maximum.accumulate(padded[::-1])[::-1][cuts + 1]
    return np.where(within > 0, within, 1.0), np.where(beyond > 0, beyond, 1.0)


def _intervals(
    shares: tuple[Floats, Floats, Floats], known: NDArray[np.bool_]
) -> list[Interval | None]:
    rows = zip(*(part.tolist() for part in shares), known.tolist(), strict=True)
    return [
        Interval(value, low, high) if tell and value == value else None  # NaN is not itself
        for value, low, high, tell in rows
    ]


def suggest(found: Curves, target: float) -> Point | None:
    """Return the largest threshold whose precision interval has its lower end at ``target`` or
    above. None if the decisions support none."""
    good = [point for point in found.points if point.precision and point.precision.low >= target]
    return good[-1] if good else None


def bins(evidence: RecordedMatches, observe: float, count: int) -> list[Bin]:
    """Count recorded matches in ``count`` bars of equal width from 0 to ``observe``."""
    edges = np.linspace(0, observe, count + 1)
    place = np.clip(np.searchsorted(edges, evidence.distances - EQUAL_WITHIN) - 1, 0, count - 1)
    counted = {
        outcome: np.bincount(place[evidence.outcomes == outcome], minlength=count).tolist()
        for outcome in MatchOutcome
    }
    return [
        Bin(
            float(edges[n]),
            float(edges[n + 1]),
            counted[MatchOutcome.CONFIRMED][n],
            counted[MatchOutcome.DISMISSED][n],
            counted[MatchOutcome.UNDECIDED][n],
        )
        for n in range(count)
    ]


def threshold_change(evidence: RecordedMatches, before: float, after: float) -> ThresholdChange:
    """Count the recorded matches between the two thresholds."""
    low, high = sorted((before, after))
    between = (evidence.distances > low + EQUAL_WITHIN) & (
        evidence.distances <= high + EQUAL_WITHIN
    )
    outcomes = evidence.outcomes[between]
    count = len(outcomes)
    return ThresholdChange(
        count if after > before else 0,
        count if after < before else 0,
        int(np.count_nonzero(outcomes == MatchOutcome.CONFIRMED)),
        int(np.count_nonzero(outcomes == MatchOutcome.DISMISSED)),
    )
