"""Hough voting for the line, video time = speed × query time + offset, that most frames agree on.

A query frame has one vote for each offset, however many stored frames support it, so that a static
shot does not vote many times. All times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP: Final = 0.5
"""Width of an offset's bin; frames are stored about once a second."""

_OTHER_SPEED: Final = 0.93
_PER_OCTAVE: Final = 0.05
"""Short clips fit many speeds, so a speed other than 1 needs more votes."""

_MIN_SECONDS_FOR_SPEED: Final = 4.0
_MIN_FRAMES_FOR_SPEED: Final = 8
"""Seconds and frames of a query below which its speed cannot be distinguished from an offset."""

_STRONGEST: Final = 32
"""Stored frames that a query frame votes for. Bounds the work where all frames look alike."""

_PLATEAU: Final = 0.999
_RIVAL: Final = 0.9
"""Least share of the best total: footage shown twice is sampled at different moments each time."""


@dataclass(frozen=True, slots=True)
class HoughPeak:
    """``offset``: the video time at query time 0. ``votes``: of each query frame. ``total``: their
    sum, reduced for speeds other than 1. ``rivals``: other offsets that are nearly as good."""

    speed: float
    offset: float
    votes: Floats
    total: float
    rivals: tuple[float, ...]


def candidate_speeds(query_times: Floats) -> Floats:
    """Return speeds 1/2 to 2 in equal ratios, finer for longer queries; 1 for short ones."""
    length = float(np.ptp(query_times)) if len(query_times) else 0.0
    if length < _MIN_SECONDS_FOR_SPEED or len(query_times) < _MIN_FRAMES_FOR_SPEED:
        return np.ones(1)
    # Half a ratio's error may move the ends of the query by one bin.
    per_octave = int(np.clip(np.ceil(length / 2), 4, 30))
    return np.asarray(2.0 ** (np.arange(-per_octave, per_octave + 1) / per_octave))


def speed_prior(speed: float) -> float:
    return 1.0 if speed == 1.0 else _OTHER_SPEED - _PER_OCTAVE * abs(float(np.log2(speed)))


def find_peak(
    evidence: Floats, query_times: Floats, starts: Floats, ends: Floats
) -> HoughPeak | None:
    """Return the best line through the evidence (query frames × stored spans); None if all is 0."""
    rows, columns = _strongest(evidence)
    if not len(rows):
        return None
    weight = evidence[rows, columns]
    best: HoughPeak | None = None
    for speed in candidate_speeds(query_times):
        moved = speed * query_times[rows]
        votes, first = _count_votes(
            rows, weight, starts[columns] - moved, ends[columns] - moved, len(evidence)
        )
        found = _highest(votes, first, float(speed), float(np.ptp(query_times)))
        if best is None or found.total > best.total:
            best = found
    return best


def _strongest(evidence: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if evidence.shape[1] > _STRONGEST:
        least = np.partition(evidence, -_STRONGEST, axis=1)[:, -_STRONGEST, None]
        # More than ``_STRONGEST`` may be equally strong; all of them vote.
        evidence = np.where(evidence >= least, evidence, 0.0)
    rows, columns = np.nonzero(evidence)
    return rows, columns


def _count_votes(
    rows: NDArray[np.intp], weight: Floats, low: Floats, high: Floats, count: int
) -> tuple[Floats, int]:
    """Return the votes of each query frame for each bin, and the number of the first bin.

    A long span says little about the offset: its vote is divided by the square root of its length
    in seconds, if that is more than 1.
    """
    first = np.floor(low / STEP).astype(np.intp)
    last = np.maximum(np.ceil(high / STEP).astype(np.intp), first + 1)
    lengths = last - first
    weight = weight / np.sqrt(np.maximum(1.0, high - low))
    entry = np.repeat(np.arange(len(rows)), lengths)
    base = int(first.min()) - 1
    bins = np.arange(len(entry)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    bins += first[entry] - base
    votes = np.zeros((count, int(bins.max()) + 2))
    np.maximum.at(votes, (rows[entry], bins), weight[entry])
    # Half a vote for the neighbours, so that lines between two bins are found.
    blurred = votes.copy()
    np.maximum(blurred[:, 1:], votes[:, :-1] / 2, out=blurred[:, 1:])
    np.maximum(blurred[:, :-1], votes[:, 1:] / 2, out=blurred[:, :-1])
    return blurred, base


def _highest(votes: Floats, first: int, speed: float, length: float) -> HoughPeak:
    total = votes.sum(axis=0)
    at = int(total.argmax())
    # A static shot makes a plateau; its middle is the best estimate.
    level = total >= _PLATEAU * total[at]
    low = high = at
    while low > 0 and level[low - 1]:
        low -= 1
    while high + 1 < len(total) and level[high + 1]:
        high += 1
    middle = (low + high) // 2
    rivals = _rivals(total, low, high, max(2.0, length / 2))
    return HoughPeak(
        speed,
        (first + middle + 0.5) * STEP,
        votes[:, middle],
        float(total[at]) * speed_prior(speed),
        tuple((first + other + 0.5) * STEP for other in rivals),
    )


def _rivals(total: Floats, low: int, high: int, apart: float) -> list[int]:
    """Bins as high as the plateau from ``low`` to ``high``, at least ``apart`` from each other."""
    reach = int(np.ceil(apart / STEP))
    rest, enough = total.copy(), _RIVAL * total[low : high + 1].max()
    found: list[int] = []
    rest[max(0, low - reach) : high + reach + 1] = 0.0
    while len(found) < 5 and rest.max() >= enough:
        at = int(rest.argmax())
        found.append(at)
        rest[max(0, at - reach) : at + reach + 1] = 0.0
    return found
