"""What a picture with transparent pixels is over white, over black, and by its colour alone."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

OPAQUE: Final = 250
"""Alpha below which a pixel is transparent: compression leaves what is opaque a little off."""

FOOTAGE: Final = 3
"""How many of ``wire.GROUNDS`` footage has."""

_WHITE, _BLACK = 0, 1


def laid_over(rgba: Pixels, ground: int) -> Pixels:
    """R, G, B over one of ``wire.GROUNDS``."""
    colour = rgba[..., :3]
    if ground not in (_WHITE, _BLACK):
        return np.ascontiguousarray(colour)
    share = rgba[..., 3:].astype(np.uint16)
    behind = 255 * (255 - share) if ground == _WHITE else 0
    return np.asarray((colour * share + behind + 127) // 255, np.uint8)
