"""Generated test pictures: the same on every machine with the same libraries."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

COUNT = 700
LARGEST = 1024


def jpegs(count: int = COUNT) -> list[bytes]:
    """Return ``count`` different JPEGs, long side 160 to 1,024 pixels, 14 KB on average."""
    return [jpeg(number) for number in range(count)]


def jpeg(number: int) -> bytes:
    """Return colour noise with the spectrum of photographs (1/f) and some shapes in front."""
    random = np.random.default_rng(number)
    # Few large and many small pictures, as on a web page.
    long = int(160 * (LARGEST / 160) ** (random.random() ** 2.5))
    width, height = long, int(long * random.uniform(0.55, 1.0))
    if random.random() < 0.3:
        width, height = height, width
    pixels = noise(random, (width, height)).astype(np.uint8)
    for _ in range(random.integers(1, 5)):
        centre = (int(random.integers(width)), int(random.integers(height)))
        axes = (int(random.integers(8, width // 2)), int(random.integers(8, height // 2)))
        colour = [int(value) for value in random.integers(0, 256, 3)]
        cv2.ellipse(pixels, centre, axes, float(random.uniform(0, 180)), 0, 360, colour, -1)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=94)
    return out.getvalue()


def noise(random: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return height × width × 3, 0 to 255. ``size``: width, height."""
    width, height = size
    canvas = np.zeros((height, width, 3), np.float32)
    cells = 2
    while cells < max(size) / 2:
        values = random.normal(size=(cells, cells, 3)).astype(np.float32)
        canvas += cv2.resize(values, size, interpolation=cv2.INTER_LINEAR) / cells
        cells *= 2
    low, high = canvas.min(), canvas.max()
    return (canvas - low) * (255 / (high - low))
