"""The figures of the answers: pure functions of distances, which can be checked by hand."""

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
    """Shares of one row's copies. ``first``: the original is the first answer (R@1). ``frozen`` and
    ``own``: it is an answer below the threshold from the calibration negatives, or below that from
    the test negatives."""

    first: float
    frozen: float
    own: float


@dataclass(frozen=True)
class Figures:
    """One method's figures. ``threshold`` is from the calibration negatives, ``own_threshold`` from
    the test negatives. ``false_positives`` counts test negatives below ``threshold``; ``siblings``
    are pictures of a common template."""

    rows: Mapping[str, Row]
    threshold: float
    own_threshold: float
    false_positives: int
    siblings: int

    @property
    def mean(self) -> Row:
        rows = self.rows.values()
        return Row(
            float(np.mean([row.first for row in rows])),
            float(np.mean([row.frozen for row in rows])),
            float(np.mean([row.own for row in rows])),
        )


@dataclass(frozen=True)
class Bin:
    """First answers in one tenth of confidence: number, claimed confidence, true share."""

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
    return source.key[:KEPT_DIGITS]


def best(answer: Answer) -> float:
    """Return the distance of the first answer, ``NEVER`` if there is none."""
    return answer.found[0][1] if answer.found else NEVER


def is_first(answer: Answer, key: str) -> bool:
    return bool(answer.found) and answer.found[0][0] == key


def distance_of(answer: Answer, key: str) -> float:
    """Return the distance of that picture, ``NEVER`` if it is not among the answers."""
    return next((distance for found, distance in answer.found if found == key), NEVER)


def zero_false_positives(distances: Sequence[float]) -> float:
    """Return the largest threshold with no negative's nearest answer below it."""
    return min(distances, default=NEVER)


def share_below(distances: Sequence[float], threshold: float) -> float:
    return float(np.mean(np.array(distances) < threshold))


def reliability(claims: Sequence[tuple[float, bool]]) -> tuple[float, list[Bin]]:
    """Return the expected calibration error over ten equal bins of confidence, and the bins.

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
    """Return the first answers of all test questions (those with an answer) for ``reliability``."""
    asked = [(row, digits(source), digits(source)) for row in rows for source in originals]
    asked += [(AS_IT_IS, digits(source), "") for source in negatives]
    found = []
    for row, key, wanted in asked:
        answer = answers[row, key]
        if answer.found:
            found.append((1.0 - best(answer), is_first(answer, wanted)))
    return found
