"""Intervals of a share whose parts were counted with weights.

For plain counts it is the Jeffreys interval: the quantiles of Beta(yes + 1/2, no + 1/2), with the
end 0 or 1 where one side was never seen (Brown, Cai, DasGupta 2001, "Interval Estimation for a
Binomial Proportion"). A weighted count Σw varies like n observations of one size s, n = (Σw)² / Σw²
and s = Σw² / Σw (Kish 1965): as Gamma(n + 1/2) × s on either side, the share of one is a monotone
function of a Beta variable, and so are its quantiles. The side that has to be large for an end of
the interval has its half observation from the heaviest weight there is, as in the gamma intervals
of Fay and Feuer 1997: twenty weighted dismissals may hide a confirmation as heavy as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Floats = NDArray[np.float64]

MIN_DECIDED: Final = 30
"""The least number of decisions for which a share is given."""


LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval, each from 0 to 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Weighted counts, elementwise: Σw, Σw², and the heaviest weight that one could have."""

    total: Floats
    squares: Floats
    heaviest: Floats

    def small(self) -> tuple[Floats, Floats]:
        """(shape, scale) of the gamma variable, half an observation of its own size added."""
        seen = self.total > 0
        scale = np.divide(self.squares, self.total, out=self.heaviest.copy(), where=seen)
        return self.total / scale + 0.5, scale

    def large(self) -> tuple[Floats, Floats]:
        """The same with half an observation of the heaviest weight added."""
        total = self.total + self.heaviest / 2
        squares = self.squares + self.heaviest**2 / 2
        return total**2 / squares, squares / total


def share(yes: Tally, no: Tally, level: float = LEVEL) -> tuple[Floats, Floats, Floats]:
    """(value, low, high) of yes / (yes + no), elementwise; NaN where nothing was seen at all."""
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
    """Of the share of one gamma variable in the sum of two, each (shape, scale)."""
    x = betaincinv(yes[0], no[0], p)
    heavy = yes[1] * x
    return np.asarray(heavy / (heavy + no[1] * (1 - x)), dtype=np.float64)
