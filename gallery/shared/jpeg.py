"""Encoding JPEG: one encoder, its quality named by use. No Django here."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


class Quality(IntEnum):
    """Of 100."""

    THUMBNAIL = 80
    RENDITION = 82
    CASE_PICTURE = 85
    COMPARISON = 88
    SAMPLE = 90


def encode_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Grey (height × width) or RGB (height × width × 3) pixels as a JPEG without metadata."""
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1])


def shrink(pixels: NDArray[Any], long_side: int) -> NDArray[Any]:
    """The pixels reduced, never enlarged, to a long side of at most ``long_side``."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), pixels.dtype)
