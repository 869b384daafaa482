"""The type of pixel arrays, and functions that resize and crop them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Height × width × 3 (R, G, B), or height × width (grey); 0 to 255."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""


def fitted_size(
    width: float, height: float, long_side: int, *, smallest: int = 1
) -> tuple[int, int]:
    """Reduce width and height, never enlarge, to a long side of ``long_side`` pixels.

    No side gets less than ``smallest`` pixels.
    """
    scale = min(1.0, long_side / max(width, height))
    return max(smallest, round(width * scale)), max(smallest, round(height * scale))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Average the pixels to ``size`` (width, height); return the same array if it has that size."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def fitted(pixels: Pixels, long_side: int) -> Pixels:
    """Reduce the pixels to ``long_side``; return the same array if it is no larger."""
    height, width = pixels.shape[:2]
    return resized(pixels, fitted_size(width, height, long_side))


def cropped(pixels: Pixels, box: Box | None) -> Pixels:
    """Return a view of the box, or of all without a box."""
    if box is None:
        return pixels
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]
