"""Finds frames of an animation that show nearly what an earlier frame shows.

Animations hold a picture for many frames, with other noise or dithering in each. What a model would
find in one of these frames it finds in the other. Two frames are near only if no part of them
differs: neither a small picture in a corner nor a faint one over a plain colour may hide. Frames
are compared with the first frame of a group, so that a slow change cannot creep in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.pixels import Pixels, fitted

NEAR_BITS: Final = 16
"""Most bits of 256 by which the PDQ hashes of near frames differ. A hash does not depend on
contrast, so a faint picture over a plain frame changes it."""

REMEMBERED: Final = 64
"""Groups that frames are compared with, the latest: 3 MB of 480 × 360 pixels."""

SIDE: Final = 96
"""Longest side of the compared cells."""

WINDOW: Final = 7
"""Side in cells of the windows that are compared. They overlap, and each counts."""

LEVELS: Final = 3.0
SHARE: Final = 0.25
"""By how much a window may differ, root mean square: these levels of 255, and this share of the
standard deviation within the window, of the frame where it is less."""

Floats = NDArray[np.float32]


class NearFrames:
    """The groups of near frames of one file."""

    def __init__(self) -> None:
        self._groups: deque[tuple[int, _Glimpse]] = deque(maxlen=REMEMBERED)
        self._count = 0

    def group(self, rgb: Pixels, legacy_rgb: Pixels, hash: bytes | None) -> int:
        """Return the number of the frame's group, counted from 0; a new one if it is near to none.

        ``hash``: PDQ, 32 bytes. A frame without one is near to no other.
        """
        glimpse = None if hash is None else _Glimpse.of(rgb, legacy_rgb, hash)
        if glimpse is not None:
            for number, other in reversed(self._groups):
                if glimpse.is_near(other):
                    return number
            self._groups.append((self._count, glimpse))
        self._count += 1
        return self._count - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Glimpse:
    """``cells``: the frame reduced, also as imgsmlr reads it if that differs. ``deviations``: the
    standard deviation of their brightness around each cell."""

    hash: int
    cells: list[Pixels]
    deviations: list[Floats]

    @classmethod
    def of(cls, rgb: Pixels, legacy_rgb: Pixels, hash: bytes) -> _Glimpse:
        cells = [fitted(one, SIDE) for one in ([rgb] if legacy_rgb is rgb else [rgb, legacy_rgb])]
        return cls(int.from_bytes(hash), cells, list(map(deviations, cells)))

    def is_near(self, other: _Glimpse) -> bool:
        if (self.hash ^ other.hash).bit_count() > NEAR_BITS:
            return False
        shapes, others = ([one.shape for one in glimpse.cells] for glimpse in (self, other))
        return shapes == others and all(
            map(within_limits, self.cells, other.cells, self.deviations, other.deviations)
        )


def within_limits(a: Pixels, b: Pixels, deviation_a: Floats, deviation_b: Floats) -> bool:
    """Return whether no window of cells differs by more than a look may miss."""
    squares = (cv2.absdiff(a, b).astype(np.float32) ** 2).mean(axis=2)
    allowed = LEVELS + SHARE * np.minimum(deviation_a, deviation_b)
    return bool((_means(squares) <= allowed**2).all())


def deviations(cells: Pixels) -> Floats:
    """Return the standard deviation of brightness in the window around each cell."""
    brightness = cells.mean(axis=2, dtype=np.float32)
    variance = _means(brightness**2) - _means(brightness) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), np.float32)


def _means(values: Any) -> Floats:
    return np.asarray(cv2.boxFilter(values, -1, (WINDOW, WINDOW)), np.float32)
