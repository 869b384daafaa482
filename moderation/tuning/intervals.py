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

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEVEL: Final = 0.95
_TERMS, _STEPS, _NEAR, _TINY = 400, 60, 1e-8, 1e-300


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
    x = beta_quantile(p, yes[0], no[0])
    heavy = yes[1] * x
    return np.asarray(heavy / (heavy + no[1] * (1 - x)), dtype=np.float64)


def beta_quantile(p: float, a: ArrayLike, b: ArrayLike) -> Floats:
    """Where the distribution function of Beta(a, b) is ``p``, elementwise.

    By Newton's method, halving where a step would leave what is known. Good to 1e-7 for a, b from
    0.5 to some 10,000.
    """
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    low, high, x = np.zeros(a.shape), np.ones(a.shape), a / (a + b)
    log_front = _log_beta_front(a, b)
    for _ in range(_STEPS):
        error = beta_cdf(x, a, b) - p
        low, high = np.where(error < 0, x, low), np.where(error < 0, high, x)
        with np.errstate(all="ignore"):
            density = np.exp(log_front + (a - 1) * np.log(x) + (b - 1) * np.log1p(-x))
            step = x - error / density
        inside = (step > low) & (step < high)
        following = np.where(inside, step, (low + high) / 2)
        done = np.max(np.abs(following - x), initial=0.0) < _NEAR
        x = following
        if done:
            break
    return np.asarray(x, dtype=np.float64)


def beta_cdf(x: Floats, a: Floats, b: Floats) -> Floats:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    swap = x > (a + 1) / (a + b + 2)
    x, a, b = np.where(swap, 1 - x, x), np.where(swap, b, a), np.where(swap, a, b)
    with np.errstate(divide="ignore"):
        front = np.exp(_log_beta_front(a, b) + a * np.log(x) + b * np.log1p(-x))
    answer = np.where((x <= 0) | (x >= 1), x, front * _continued_fraction(x, a, b) / a)
    return np.where(swap, 1 - answer, answer)


_lgamma = np.vectorize(math.lgamma, otypes=[float])


def _log_beta_front(a: Floats, b: Floats) -> Floats:
    return np.asarray(_lgamma(a + b) - _lgamma(a) - _lgamma(b), dtype=np.float64)


def _continued_fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    """By Lentz's method, until no element changes any more."""
    c = np.ones_like(x)
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            total = total * d * c
        if np.all(np.abs(d * c - 1) < 1e-11):
            break
    return total


def _away_from_zero(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)
