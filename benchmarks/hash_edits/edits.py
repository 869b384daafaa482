"""The edits of a picture, saved as a JPEG of quality 80."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Final

import cv2
import numpy as np

from benchmarks.recall.corpus import Pixels

Edit = Callable[[Pixels, Random], Pixels]


def cropped(rgb: Pixels, random: Random, *, left: float, anywhere: bool = False) -> Pixels:
    height, width = rgb.shape[:2]
    rows, columns = round(height * left), round(width * left)
    down, across = (random.random(), random.random()) if anywhere else (0.5, 0.5)
    top, start = round((height - rows) * down), round((width - columns) * across)
    return np.ascontiguousarray(rgb[top : top + rows, start : start + columns])


def turned(rgb: Pixels, random: Random, *, degrees: float, canvas: str) -> Pixels:
    """Rotate in either direction. ``canvas``: kept, grown, or cut to the filled part."""
    angle = degrees * random.choice((-1, 1))
    fill = random.choice((0, 255))
    height, width = rgb.shape[:2]
    cos, sin = math.cos(math.radians(angle)), abs(math.sin(math.radians(angle)))
    size = width, height
    if canvas == "grown":
        size = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    found = cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(fill,) * 3)
    if canvas != "cut":
        return np.asarray(found, np.uint8)
    share = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    return cropped(np.asarray(found, np.uint8), random, left=share * 0.995)


def bordered(rgb: Pixels, random: Random, *, pixels: int) -> Pixels:
    """Add a border of ``pixels`` of 512: black, white, grey or a colour."""
    colour = random.choice(((0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 30)))
    wide = max(1, round(pixels * max(rgb.shape) / 512))
    return np.asarray(
        cv2.copyMakeBorder(rgb, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=colour), np.uint8
    )


EDITS: Final[Mapping[str, Edit]] = {
    **{f"crop to {n} %, centred": partial(cropped, left=n / 100) for n in (97, 95, 90, 80)},
    **{
        f"crop to {n} %, anywhere": partial(cropped, left=n / 100, anywhere=True)
        for n in (97, 95, 90, 80)
    },
    **{
        f"turned {n}°, canvas {canvas}": partial(turned, degrees=n, canvas=canvas)
        for n in (3, 6, 10)
        for canvas in ("kept", "grown", "cut")
    },
    "turned 4.5°, canvas kept": partial(turned, degrees=4.5, canvas="kept"),
    **{f"border of {n} px of 512": partial(bordered, pixels=n) for n in (10, 30)},
    "negative": lambda rgb, _: np.asarray(255 - rgb, np.uint8),
    "negative, mirrored": lambda rgb, _: np.ascontiguousarray(255 - rgb[:, ::-1]),
    "mirrored, crop to 95 %": lambda rgb, random: cropped(
        np.ascontiguousarray(rgb[:, ::-1]), random, left=0.95
    ),
}


def saved(rgb: Pixels) -> Pixels:
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
