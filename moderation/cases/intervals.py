"""Intervals of a share, from counts that may have weights.

Plain counts give the Jeffreys interval: quantiles of Beta(yes + 1/2, no + 1/2). The lower end is 0
without any yes, the upper end is 1 without any no (Brown, Cai, DasGupta 2001, "Interval Estimation
for a Binomial Proportion").

A weighted count Σw varies like n observations of one size s: n = (Σw)² / Σw² and s = Σw² / Σw (Kish
1965). So each side is modelled as Gamma(n + 1/2) × s. The share of one side is a monotone function
of a Beta variable, and so are its quantiles. For each end of the interval, the side that must be
large gets its half observation with the largest possible weight, as in the gamma intervals of Fay
and Feuer 1997: twenty weighted dismissals may hide one confirmation with the same weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Floats = NDArray[np.float64]

MIN_DECIDED: Final = 30
"""With fewer decisions, no share is given."""


LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the two ends of its interval, each from 0 to 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Weighted counts, elementwise: Σw, Σw², and the largest weight that one may have."""

    total: Floats
    squares: Floats
    heaviest: Floats

    def small(self) -> tuple[Floats, Floats]:
        """Return (shape, scale) of the gamma variable, with half an observation of its own size."""
        seen = self.total > 0
        scale = np.divide(self.squares, self.total, out=self.heaviest.copy(), where=seen)
        return self.total / scale + 0.5, scale

    def large(self) -> tuple[Floats, Floats]:
        """Return the same, with half an observation of the largest weight."""
        total = self.total + self.heaviest / 2
        squares = self.squares + self.heaviest**2 / 2
        return total**2 / squares, squares / total


def share(yes: Tally, no: Tally, level: float = LEVEL) -> tuple[Floats, Floats, Floats]:
    """Return (value, low, high) of yes / (yes + no), elementwise. NaN where both counts are 0."""
    tail = (1 - level) / 2
    low = _quantile(tail, yes.small(), no.large())
    high = _quantile(1 - tail, yes.large(), no.small())
    total = yes.total + no.total
    nothing = total <= 0
    value = np.divide(yes.total, total, out=np.full_like(total, np.nan), where=~nothing)
    low = np.where(yes.total <= 0, 0.0, np.minimum(low, value))
    high = np.where(no.total <= 0, 1.0, np.maximum(high, value))
    low[nothing] = high[nothing] = np.nan
    return value, low, high


def _quantile(p: float, yes: tuple[Floats, Floats], no: tuple[Floats, Floats]) -> Floats:
    """Return the quantile of a / (a + b) for two gamma variables, each given as (shape, scale)."""
    x = betaincinv(yes[0], no[0], p)
    heavy = yes[1] * x
    return np.asarray(heavy / (heavy + no[1] * (1 - x)), dtype=np.float64)
