"""How far two people who decided the same cases agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from moderation.cases.intervals import MIN_DECIDED


@dataclass(frozen=True, slots=True)
class Agreement:
    """``cases`` decided twice; ``raw``: the share of them decided alike.

    ``kappa``: Cohen's, which takes off what two people would agree by chance who each keep their
    own share of confirmations: 1 = always alike, 0 = as by chance. Both are None under
    ``MIN_DECIDED`` cases; kappa also where each person gave one and the same answer to all, as
    chance alone would make them agree then.
    """

    cases: int
    alike: int
    raw: float | None
    kappa: float | None


def agreement(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Of (first answer, second answer) about each case. Cohen 1960, "A coefficient of agreement
    for nominal scales"."""
    counted = Counter(pairs)
    cases = counted.total()
    alike = sum(count for (one, two), count in counted.items() if one == two)
    if cases < MIN_DECIDED:
        return Agreement(cases, alike, None, None)
    raw = alike / cases
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for (one, two), count in counted.items():
        first[one] += count
        second[two] += count
    chance = sum(first[answer] * second[answer] for answer in first) / cases**2
    kappa = (raw - chance) / (1 - chance) if chance < 1 else None
    return Agreement(cases, alike, raw, kappa)
