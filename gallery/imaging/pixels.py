"""The type of pixel arrays, and functions that resize and crop them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.cache_keys import remember_last

Pixels = NDArray[np.uint8]
"""Height × width × 3 (R, G, B), or height × width (grey); 0 to 255."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""


WORKING_SIDE = 1024
"""Long side to which pictures are reduced for descriptors that need no more."""


def whole_box(pixels: Pixels) -> Box:
    return 0, 0, *size_of(pixels)


def area_of(box: Box) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def size_of(pixels: Pixels) -> tuple[int, int]:
    """Return width and height."""
    return pixels.shape[1], pixels.shape[0]


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
    if size_of(pixels) == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def fitted(pixels: Pixels, long_side: int) -> Pixels:
    """Reduce the pixels to ``long_side``; return the same array if it is no larger."""
    return resized(pixels, fitted_size(*size_of(pixels), long_side))


@remember_last
def working_copy(rgb: Pixels) -> Pixels:
    """Reduce to ``WORKING_SIDE``, long side; return the same array if it is no larger.

    Averages blocks of 2 × 2 while it can and interpolates the rest, in a fifth of the time of
    averaging over fractions of pixels.
    """
    size = fitted_size(*size_of(rgb), WORKING_SIDE)
    if size_of(rgb) == size:
        return rgb
    while rgb.shape[1] >= 2 * size[0] and rgb.shape[0] >= 2 * size[1]:
        half = rgb.shape[1] // 2, rgb.shape[0] // 2
        rgb = resized(rgb[: 2 * half[1], : 2 * half[0]], half)
    reduced = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    reduced.flags.writeable = False  # several steps share it
    return reduced


def cropped(pixels: Pixels, box: Box | None) -> Pixels:
    """Return a view of the box, or of all without a box."""
    if box is None:
        return pixels
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]
