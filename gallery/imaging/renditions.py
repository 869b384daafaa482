"""A picture in steps from unrecognisable to clear, made here so that no browser gets more. Pure.

Pictures are uint8, height × width × 3 (R, G, B). Nothing here claims to protect who looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.shared.jpeg import Quality, encode_jpeg, shrink

Pixels = NDArray[np.uint8]

BLURRED_SIDE: Final = 8
"""Pixels of the long side that are left of a blurred picture: colours and where they lie."""
SOFT_SIDE: Final = 480
"""Pixels of the long side that a grey picture keeps."""


def rendition(rgb: Pixels, step: str, longest: int) -> bytes:
    """A JPEG of one of ``STEPS``, its long side at most ``longest`` pixels, never enlarged.

    Raises ``KeyError`` for another step.
    """
    make = STEPS[step]
    return encode_jpeg(make(shrink(rgb, longest)), Quality.RENDITION)


def _blur(rgb: Pixels) -> NDArray[Any]:
    height, width = rgb.shape[:2]
    small = shrink(rgb, min(BLURRED_SIDE, max(1, max(height, width) // 8)))
    wide: NDArray[Any] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return wide


def _grey(rgb: Pixels) -> NDArray[Any]:
    height, width = rgb.shape[:2]
    soft = shrink(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), SOFT_SIDE)
    soft = cv2.GaussianBlur(soft, (0, 0), max(soft.shape) / 160)
    wide: NDArray[Any] = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return wide


def _lines(rgb: Pixels) -> NDArray[Any]:
    """What is darker than around it, as with a pencil: shapes without skin, blood or colour."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    sigma = max(1.0, max(grey.shape) / 200)
    smooth = cv2.bilateralFilter(grey, 7, 40, 7)
    around = cv2.GaussianBlur(smooth, (0, 0), sigma)
    drawn = cv2.divide(smooth, around, scale=250).astype(np.float32)
    # Flat surfaces come out just below white; only what stands out of them is a line.
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
