"""Random edits like those that people make to copies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Random = np.random.Generator
Edit = Callable[[Pixels, Random, Pixels], Pixels]
"""Picture, random numbers, another picture to put beside or behind it → edited picture."""

MOST_EDITS = 3


def edited(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    """Apply one to three different edits in sequence; uint8 H×W×3."""
    for index in random.choice(len(EDITS), random.integers(1, MOST_EDITS + 1), replace=False):
        rgb = np.ascontiguousarray(EDITS[index](rgb, random, other))
    return rgb


def _crop(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    share = random.uniform(0.45, 0.95)
    stretch = random.uniform(0.8, 1.25)
    h = max(16, min(height, int(height * share * stretch)))
    w = max(16, min(width, int(width * share / stretch)))
    y, x = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
    return rgb[y : y + h, x : x + w]


def _turn(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    return np.rot90(rgb, random.integers(1, 4))


def _mirror(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    return rgb[:, ::-1]


def _rotate(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    """Rotate by up to 25° about the centre; fill the corners with one colour."""
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-25, 25), 1.0)
    return cv2.warpAffine(rgb, matrix, (width, height), borderValue=_colour(random))


def _border(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    y, x = (int(side * random.uniform(0, 0.3)) for side in (height, width))
    return cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_CONSTANT, value=_colour(random))


def _bars(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    """Add bars with lines of text above and below, like captions and application windows."""
    height, width = rgb.shape[:2]
    top, bottom = (int(height * random.uniform(0, 0.25)) for _ in range(2))
    out = cv2.copyMakeBorder(rgb, top, bottom, 0, 0, cv2.BORDER_CONSTANT, value=_colour(random))
    ink = _colour(random)
    for y in (top // 2, top + height + bottom // 2):
        _write(out, random, int(random.integers(0, max(1, width // 3))), y, ink)
    return out


def _text(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    out = rgb.copy()
    height, width = rgb.shape[:2]
    for _ in range(random.integers(1, 4)):
        x, y = int(random.integers(0, width // 2)), int(random.integers(height // 8, height))
        _write(out, random, x, y, _colour(random))
    return out


def _logo(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    out = rgb.copy()
    height, width = rgb.shape[:2]
    size = max(8, int(min(height, width) * random.uniform(0.1, 0.3)))
    y, x = random.integers(0, height - size + 1), random.integers(0, width - size + 1)
    out[y : y + size, x : x + size] = cv2.resize(other, (size, size))
    return out


def _inset(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    """Put the picture into another one, 40 to 80 % as wide."""
    height, width = rgb.shape[:2]
    share = random.uniform(0.4, 0.8)
    h, w = max(8, int(height * share)), max(8, int(width * share))
    out = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    y, x = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
    out[y : y + h, x : x + w] = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
    return out


def _jpeg(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    quality = int(random.integers(8, 60))
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _blur(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    return cv2.GaussianBlur(rgb, (0, 0), random.uniform(0.7, 4.5))


def _shrink(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    y, x = random.uniform(0.2, 0.7, 2)
    size = max(16, int(width * x)), max(16, int(height * y))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _tone(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    value = (rgb / 255.0) ** random.uniform(0.5, 2.0)
    gain = random.uniform(0.6, 1.5) * random.uniform(0.9, 1.1, 3)
    value = (value - 0.5) * gain + 0.5 + random.uniform(-0.2, 0.2)
    return (value.clip(0, 1) * 255).astype(np.uint8)


def _grey(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _noise(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    noise = random.normal(0, random.uniform(5, 30), rgb.shape)
    return (rgb + noise).clip(0, 255).astype(np.uint8)


def _few_colours(rgb: Pixels, random: Random, other: Pixels) -> Pixels:
    step = 256 // int(random.integers(3, 8))
    return (rgb // step * step + step // 2).astype(np.uint8)


def _write(out: Pixels, random: Random, x: int, y: int, ink: tuple[int, int, int]) -> None:
    letters = "".join(map(chr, random.integers(ord("A"), ord("z") + 1, random.integers(4, 24))))
    scale = out.shape[1] / 512 * random.uniform(0.5, 2.0)
    thick = max(1, round(scale * 2))
    cv2.putText(out, letters, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thick, cv2.LINE_AA)


def _colour(random: Random) -> tuple[int, int, int]:
    kind = random.integers(3)
    if kind < 2:
        return (0, 0, 0) if kind else (255, 255, 255)
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    return red, green, blue


EDITS: tuple[Edit, ...] = (
    *(_crop, _crop, _turn, _mirror, _rotate, _border, _bars, _text, _logo, _inset),
    *(_jpeg, _blur, _shrink, _tone, _grey, _noise, _few_colours),
)
"""Crops are listed twice, because they are the most frequent edit."""
