"""Two pictures in one: every second strip, or every second tile of a chessboard, is another's.

Where one picture ends and the other begins all pixels of a line change at once, and they do so at
equal distances. Where that is seen, each of the two is shown alone, what it lacks being filled in
from beside it: eyes do the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

STRIPS: Final = "strips-"
"""How names of such renderings begin."""

LONG_SIDE: Final = 512
"""Of what is answered: enough for hashes and for models."""

_LINES: Final = 256
"""Pixels of a line that are looked at."""

_EDGES: Final = 8
"""Strips that there must be."""
_SHORTEST: Final = 4
_BESIDE: Final = (-3, -2, 2, 3)
"""Lines beside an edge than which it must change more; compression smears it to the next ones."""
_STANDS_OUT: Final = 0.15
_STRONG: Final = 0.9
"""Logarithms of the change from one line to the next: by how much an edge exceeds what is beside
it, and the usual one of the picture."""
_REGULAR: Final = 0.7
"""Share of the places of edges where there is one."""


@dataclass(frozen=True, slots=True)
class _Strips:
    """Where strips begin: ``first`` + n × ``wide``, in pixels."""

    first: int
    wide: int

    def odd(self, count: int) -> NDArray[np.bool_]:
        """Of each of so many lines, whether it is in every second strip."""
        return np.asarray((np.arange(count) - self.first) // self.wide % 2 == 1)


def named(rgb: Pixels) -> dict[str, Pixels]:
    """What ``separated`` answers, by the name of the rendering: ``strips-1``, ``strips-2``, …"""
    return {f"{STRIPS}{number}": one for number, one in enumerate(separated(rgb), 1)}


def separated(rgb: Pixels) -> list[Pixels]:
    """The two pictures, at most ``LONG_SIDE`` pixels, of one of height × width × 3; empty if there
    is nothing of the kind. Of strips twice: what lies between them filled in, and left out, as it
    may be that nothing is lacking."""
    height, width = rgb.shape[:2]
    down = _strips(rgb[:, :: max(1, width // _LINES), 1])
    across = _strips(rgb[:: max(1, height // _LINES), :, 1].T)
    if down is None and across is None:
        return []
    rows = down.odd(height) if down else np.zeros(height, bool)
    columns = across.odd(width) if across else np.zeros(width, bool)
    mask = rows[:, np.newaxis] ^ columns
    scale = min(1.0, LONG_SIDE / max(height, width))
    wide = max(strips.wide for strips in (down, across) if strips) * scale
    found = [_filled(rgb, one, scale, wide) for one in (mask, ~mask)]
    if down is None or across is None:
        axis, odd = (0, rows) if down else (1, columns)
        joined = (np.compress(one, rgb, axis=axis) for one in (odd, ~odd))
        found += [np.ascontiguousarray(one) for one in joined]
    return found


def _strips(lines: Pixels) -> _Strips | None:
    """Of lines × pixels."""
    if len(lines) <= _EDGES * _SHORTEST:
        return None
    steps = np.log(np.abs(np.diff(lines.astype(np.int16), axis=0)).mean(axis=1) + 2.0)
    peaks = _peaks(steps)
    usual = float(np.median(steps))
    count = np.count_nonzero(peaks & (steps > usual + _STRONG))
    if count < _REGULAR * _EDGES / 2:
        return None
    # Narrower strips would have more edges.
    narrowest = max(_SHORTEST, int(len(steps) * _REGULAR / count / 2))
    best = max(
        (_folded(steps, wide) for wide in range(narrowest, len(steps) // _EDGES + 1)),
        default=(0.0, 0, 0),
    )
    _, wide, first = best
    if not wide:
        return None
    edges = np.arange(first, len(steps), wide)
    strong = float(np.median(steps[edges])) - usual
    if peaks[edges].mean() < _REGULAR or strong < _STRONG:
        return None
    return _Strips(first + 1, wide)


def _peaks(steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the change is greater than beside."""
    reach = max(_BESIDE)
    padded = np.pad(steps, reach, constant_values=-np.inf)
    others = [padded[reach + n : reach + n + len(steps)] for n in _BESIDE]
    return np.asarray(steps > np.max(others, axis=0) + _STANDS_OUT)


def _folded(steps: NDArray[np.float64], wide: int) -> tuple[float, int, int]:
    """How much more the lines change at the best of every ``wide``-th, as a statistic."""
    count = len(steps) // wide
    means = steps[: count * wide].reshape(count, wide).mean(axis=0)
    first = int(means.argmax())
    others = (means.sum() - means[[first - 1, first, (first + 1) % wide]].sum()) / (wide - 3)
    return float((means[first] - others) * np.sqrt(count)), wide, first


def _filled(rgb: Pixels, mask: NDArray[np.bool_], scale: float, wide: float) -> Pixels:
    """What the mask lets through, and between it the mean of what is near."""
    there = mask.astype(np.float32)
    shown = rgb * there[..., np.newaxis]
    if scale < 1.0:
        height, width = rgb.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown, there = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
            for one in (shown, there)
        )
    sums, weights = (cv2.GaussianBlur(one, (0, 0), 0.5 * wide) for one in (shown, there))
    around = sums / np.maximum(weights, 1e-3)[..., np.newaxis]
    # Of a pixel that is half there, that half and half of its surroundings.
    mixed = shown + (1.0 - there)[..., np.newaxis] * around
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
