"""Renders a picture in steps from unrecognisable to clear, so that a browser gets no more than
needed.

This does not claim to protect the viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.pixels import Pixels, fitted
from gallery.shared.jpeg import Quality, encode_jpeg

BLURRED_SIDE: Final = 8
"""Long side of a picture before it is blurred: only colours and their places remain."""
SOFT_SIDE: Final = 480
"""Long side of a grey picture."""


def rendition(rgb: Pixels, step: str, longest: int) -> bytes:
    """Return a JPEG of one of ``STEPS``, its long side at most ``longest`` pixels, never enlarged.

    Raises ``KeyError`` for another step.
    """
    make = STEPS[step]
    return encode_jpeg(make(fitted(rgb, longest)), Quality.RENDITION)


def _blur(rgb: Pixels) -> NDArray[Any]:
    height, width = rgb.shape[:2]
    small = fitted(rgb, min(BLURRED_SIDE, max(1, max(height, width) // 8)))
    wide: NDArray[Any] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return wide


def _grey(rgb: Pixels) -> NDArray[Any]:
    height, width = rgb.shape[:2]
    soft = fitted(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8), SOFT_SIDE)
    blurred = cv2.GaussianBlur(soft, (0, 0), max(soft.shape) / 160)
    wide: NDArray[Any] = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return wide


def _lines(rgb: Pixels) -> NDArray[Any]:
    """Draw pixels darker than their surroundings as lines: no skin, blood or colour."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    sigma = max(1.0, max(grey.shape) / 200)
    smooth = cv2.bilateralFilter(grey, 7, 40, 7)
    around = cv2.GaussianBlur(smooth, (0, 0), sigma)
    drawn = cv2.divide(smooth, around, scale=250).astype(np.float32)
    # Flat areas are just below white; only what is clearly darker is a line.
    strong = np.clip((drawn - 170) * (255 / 70), 0, 255)
    lines: NDArray[Any] = strong.astype(np.uint8)
    return lines


def _clear(rgb: Pixels) -> NDArray[Any]:
    return rgb


STEPS: Final[Mapping[str, Callable[[Pixels], NDArray[Any]]]] = {
    "blur": _blur,
    "grey": _grey,
    "lines": _lines,
    "clear": _clear,
}
"""Name → filter, from what shows least to what shows all."""
SAFEST: Final = "blur"
