"""What the answers are worth: pure functions of distances, so that they can be checked by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.recall.asking import AS_IT_IS, KEPT_DIGITS, Answer, Answers
from benchmarks.recall.corpus import Source

BINS = 10
NEVER = float("inf")


@dataclass(frozen=True)
class Row:
    """Shares of one row's copies. ``first``: the original is the first answer (R@1). ``frozen``
    and ``own``: it is among the answers, nearer than the threshold that was frozen on the
    calibration negatives, or than the test negatives' own."""

    first: float
    frozen: float
    own: float


@dataclass(frozen=True)
class Figures:
    """One method's figures. ``threshold`` is the frozen one, ``own_threshold`` that of the test
    negatives; ``false_positives`` counts test negatives nearer than the frozen one, ``siblings``
    pictures of a common template."""

    rows: Mapping[str, Row]
    threshold: float
    own_threshold: float
    false_positives: int
    siblings: int

    @property
    def mean(self) -> Row:
        """Of all rows, each counting the same."""
        rows = self.rows.values()
        return Row(
            float(np.mean([row.first for row in rows])),
            float(np.mean([row.frozen for row in rows])),
            float(np.mean([row.own for row in rows])),
        )


@dataclass(frozen=True)
class Bin:
    """First answers of one tenth of confidence: how many, what they claimed, what was true."""

    count: int
    confidence: float
    correct: float


def measure(
    answers: Answers,
    originals: Sequence[Source],
    rows: Sequence[str],
    test_negatives: Sequence[Source],
    calibration_negatives: Sequence[Source],
    siblings: Sequence[Source],
) -> Figures:
    """One method's figures from all its answers."""
    of_test, of_calibration, of_siblings = (
        [best(answers[AS_IT_IS, digits(source)]) for source in sources]
        for sources in (test_negatives, calibration_negatives, siblings)
    )
    frozen, own = zero_false_positives(of_calibration), zero_false_positives(of_test)
    measured = {}
    for row in rows:
        found = [(answers[row, digits(s)], digits(s)) for s in originals]
        distances = [distance_of(answer, key) for answer, key in found]
        measured[row] = Row(
            first=float(np.mean([is_first(answer, key) for answer, key in found])),
            frozen=share_below(distances, frozen),
            own=share_below(distances, own),
        )
    wrong, alike = (
        sum(distance < frozen for distance in those) for those in (of_test, of_siblings)
    )
    return Figures(measured, frozen, own, wrong, alike)


def digits(source: Source) -> str:
    """The part of the key that answers keep."""
    return source.key[:KEPT_DIGITS]


def best(answer: Answer) -> float:
    """Distance of the first answer; ``NEVER`` if there is none."""
    return answer.found[0][1] if answer.found else NEVER


def is_first(answer: Answer, key: str) -> bool:
    """Whether the first answer is that picture."""
    return bool(answer.found) and answer.found[0][0] == key


def distance_of(answer: Answer, key: str) -> float:
    """Distance of that picture, ``NEVER`` if it is not among the answers."""
    return next((distance for found, distance in answer.found if found == key), NEVER)


def zero_false_positives(distances: Sequence[float]) -> float:
    """The largest threshold below which no negative's nearest answer lies."""
    return min(distances, default=NEVER)


def share_below(distances: Sequence[float], threshold: float) -> float:
    """Share of the distances that are less than the threshold."""
    return float(np.mean(np.array(distances) < threshold))


def reliability(claims: Sequence[tuple[float, bool]]) -> tuple[float, list[Bin]]:
    """Expected calibration error over ten equal bins of confidence, and the bins.

    ``claims``: confidence 0..1 of each first answer, and whether it was the right picture.
    """
    sure = np.array([confidence for confidence, _ in claims], np.float64)
    right = np.array([correct for _, correct in claims], np.float64)
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for place in range(BINS):
        inside = places == place
        count = int(inside.sum())
        claimed = float(sure[inside].mean()) if count else 0.0
        true = float(right[inside].mean()) if count else 0.0
        bins.append(Bin(count, claimed, true))
        error += count / len(claims) * abs(claimed - true)
    return error, bins


def claims(
    answers: Answers, originals: Sequence[Source], rows: Sequence[str], negatives: Sequence[Source]
) -> list[tuple[float, bool]]:
    """First answers of all test questions as ``reliability`` reads them; no answer, no claim."""
    asked = [(row, digits(source), digits(source)) for row in rows for source in originals]
    asked += [(AS_IT_IS, digits(source), "") for source in negatives]
    found = []
    for row, key, wanted in asked:
        answer = answers[row, key]
        if answer.found:
            found.append((1.0 - best(answer), is_first(answer, wanted)))
    return found
