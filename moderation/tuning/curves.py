"""Precision and recall at every threshold, from the matches that people decided.

The matches of one list by one match type are all recorded up to the observe distance. Those within
the threshold of their time were all queued, of those beyond it a random share, each standing for
1 / share of them (``weight``). Some of the queue is not decided yet, and what is decided first is
no random choice. So decided matches are weighted twice: by 1 / share, and within ranges of distance
that hold enough of them, so that together they stand for all matches that were recorded there.
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
"""Decisions that a range of distances has to hold for them to stand for all matches in it."""
EQUAL_WITHIN: Final = 1e-9
"""Distances this close count as the same: thresholds are inclusive."""
STEPS: Final = 60
"""Thresholds that are tried where distances are not whole numbers."""


class MatchOutcome(IntEnum):
    """What was decided about a match."""

    UNDECIDED = -1
    DISMISSED = 0
    CONFIRMED = 1


@dataclass(frozen=True, slots=True)
class RecordedMatches:
    """The recorded matches, one per subject, by ascending distance.

    ``weights``: 1 / the share that was queued of such as this one. ``queued``: whether all such
    were, as it lay within the threshold of its time.
    """

    distances: Floats
    outcomes: NDArray[np.int8]
    weights: Floats
    queued: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[tuple[float, int, float, bool]]) -> RecordedMatches:
        """From (distance, outcome, weight, queued), in any order."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)
        table = table[np.argsort(table[:, 0], kind="stable")]
        columns = np.ascontiguousarray(table.T)
        return cls(columns[0], columns[1].astype(np.int8), columns[2], columns[3] > 0)

    @property
    def decided(self) -> int:
        """How many matches are decided."""
        return int(np.count_nonzero(self.outcomes != MatchOutcome.UNDECIDED))


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold: how many recorded matches lie within it, how many of them are decided, and
    confirmed. ``precision`` and ``recall`` are None where too little is decided."""

    threshold: float
    matched: int
    decided: int
    confirmed: int
    precision: Interval | None
    recall: Interval | None


@dataclass(frozen=True, slots=True)
class Curves:
    """A point for each threshold, ascending."""

    points: tuple[Point, ...]

    def at(self, threshold: float) -> Point | None:
        """The last point that is not beyond a threshold."""
        within = [point for point in self.points if point.threshold <= threshold + EQUAL_WITHIN]
        return within[-1] if within else None


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the histogram: low < distance ≤ high, the first one from ``low`` on."""

    low: float
    high: float
    confirmed: int
    dismissed: int
    undecided: int


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """What another threshold changes, in numbers of recorded matches."""

    added: int
    dropped: int
    confirmed: int
    dismissed: int


def grid(observe: float, whole: bool) -> list[float]:
    """The thresholds to look at, from 0 to ``observe``: each whole number, or ``STEPS`` steps."""
    if whole:
        return [float(step) for step in range(int(observe) + 1)]
    return [round(observe * step / STEPS, 6) for step in range(STEPS + 1)]


def curves(evidence: RecordedMatches, thresholds: Sequence[float]) -> Curves:
    """Estimates at ascending thresholds, the last of which is the observe distance.

    Recall is relative to what lies within the observe distance: of all confirmed matches that were
    recorded, the share within the threshold. What was never recorded is not in it.
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
    # With matches beyond a threshold of which none is decided, any recall is possible.
    known = (cuts == len(distances)) | (decided[-1] > decided[cuts])
    precision = _intervals(share(found, wrong), enough)
    recall = _intervals(share(found, missed), known & (decided[-1] >= MIN_DECIDED))
    if recall and recall[-1]:
        recall[-1] = Interval(1.0, 1.0, 1.0)
    counts = (cuts, decided[cuts].astype(int), confirmed[cuts].astype(int))
    rows = zip(thresholds, *(part.tolist() for part in counts), precision, recall, strict=True)
    return Curves(tuple(Point(*row) for row in rows))


def standing_for(evidence: RecordedMatches) -> Floats:
    """How many recorded matches each one stands for: 0 if it is not decided.

    Neighbouring distances form a class until ``CLASS_SIZE`` are decided in it; in each class the
    decided ones, by their sampling weights, share out all that were recorded. Matches within the
    threshold of their time and beyond it have classes of their own: a sample of
    the latter must not stand for the former.
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
        # To the last match at the distance at which the class is full.
        end = int(np.searchsorted(distances, distances[min(full, size) - 1], side="right"))
        if number[size] - number[end] < CLASS_SIZE:
            end = size
        if (held := mass[end] - mass[start]) > 0:
            shared[start:end] *= (end - start) / held
        start = end
    return shared


def _before(values: Floats) -> Floats:
    """Sums of the first 0, 1, … values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _heaviest(weights: Floats, cuts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """The largest weight within and beyond each cut; 1 where there is none."""
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
    """The largest threshold whose precision is at least ``target`` even at its interval's lower
    end; None if the decisions so far support none."""
    good = [point for point in found.points if point.precision and point.precision.low >= target]
    return good[-1] if good else None


def bins(evidence: RecordedMatches, observe: float, count: int) -> list[Bin]:
    """``count`` bars of equal width from 0 to ``observe``, each counting recorded matches."""
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
    """What another threshold would have changed about the recorded matches."""
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
