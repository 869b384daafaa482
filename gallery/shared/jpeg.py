"""Encodes JPEG files with a quality for each use, and reads them again. Does not use Django."""

from __future__ import annotations

import io
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Quality(IntEnum):
    """JPEG quality, up to 100."""

    THUMBNAIL = 80
    RENDITION = 82
    CASE_PICTURE = 85
    COMPARISON = 88


def encode_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode grey (height × width) or RGB (height × width × 3) pixels, without metadata."""
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1])


def decode_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Return the RGB pixels of a JPEG that ``encode_jpeg`` wrote; None if it is damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError):  # what Pillow raises for damaged files
        return None
