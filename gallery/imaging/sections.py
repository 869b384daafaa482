"""The sections of a long picture: a stitched screenshot shows many pictures, each too small to be
found in the whole or in its quarters."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SECTION: Final = "section-"
"""How names of sections begin."""

MOST: Final = 32

_LONG: Final = 2.5
"""Long side ÷ short side from which a picture is long: the screens of phones are below."""


def named(rgb: Pixels) -> dict[str, Pixels]:
    """Squares along the long side, by name: ``section-1``, …; none of a picture that is not long.

    Each begins half a square behind the one before. Of a picture that is more than 16 times as
    long as wide ``MOST`` squares are spread over the length, and show not all of it.
    """
    height, width = rgb.shape[:2]
    short, long = sorted((height, width))
    if long < _LONG * short:
        return {}
    count = min(MOST, 2 * long // short)
    starts = np.linspace(0, long - short, count).round().astype(int).tolist()
    cut = (
        rgb[at : at + short] if height == long else np.ascontiguousarray(rgb[:, at : at + short])
        for at in starts
    )
    return {f"{SECTION}{number}": one for number, one in enumerate(cut, 1)}
