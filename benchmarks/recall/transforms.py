"""The rows of the table: the edit of a picture before it is searched for.

Each row gives the same result for the same picture every time. Lengths are relative to the picture;
σ of a blur is for a picture with a long side of 512 pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.recall import drawing, screens
from benchmarks.recall.drawing import BLACK, WHITE, Pixels, Random, colour

T = TypeVar("T")
Edit = Callable[[Pixels, Random, Sequence[Pixels]], Pixels]
"""Picture, random numbers, pictures to put around it → edited picture; all uint8 H×W×3, RGB."""
QUALITY = 90
"""Default quality of the JPEG that is searched with."""
SMALLEST = 16


@dataclass(frozen=True)
class Row:
    """One kind of copy. ``others``: the number of other pictures it needs."""

    edit: Edit
    quality: int = QUALITY
    others: int = 0


def edited(name: str, key: str, rgb: Pixels, others: Sequence[Pixels] = ()) -> bytes:
    """Return the picture after the row's edit, as a JPEG. ``others``: as many as the row needs."""
    row = ROWS[name]
    return encoded(row.edit(rgb, random_of(name, key), others), row.quality)


def random_of(name: str, key: str) -> Random:
    digest = hashlib.sha256(f"{name} {key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8]))


def encoded(rgb: Pixels, quality: int = QUALITY) -> bytes:
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def _nothing(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    return rgb


def _resized(rgb: Pixels, random: Random, others: Sequence[Pixels], x: float, y: float) -> Pixels:
    height, width = rgb.shape[:2]
    size = max(SMALLEST, round(width * x)), max(SMALLEST, round(height * y))
    method = cv2.INTER_AREA if min(x, y) < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


def _blurred(rgb: Pixels, random: Random, others: Sequence[Pixels], sigma: float) -> Pixels:
    sigma *= max(rgb.shape[:2]) / 512
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def _grey(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _brighter(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    return _clipped(rgb.astype(np.float32) + _either(random, 50, -50))


def _contrast(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    """Multiply the contrast by 0.5 or 1.5."""
    return _clipped((rgb.astype(np.float32) - 128) * _either(random, 0.5, 1.5) + 128)


def _gamma(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    return _clipped((rgb / np.float32(255)) ** _either(random, 0.5, 2) * 255)


def _noisy(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    """Add Gaussian noise, σ 20 of 255, to each channel independently."""
    return _clipped(rgb + random.normal(0, 20, rgb.shape))


def _few_colours(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    return np.asarray(Image.fromarray(rgb).quantize(32).convert("RGB"))


def _cropped(rgb: Pixels, random: Random, others: Sequence[Pixels], share: float) -> Pixels:
    height, width = rgb.shape[:2]
    h, w = round(height * share), round(width * share)
    y, x = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    return rgb[y : y + h, x : x + w]


def _trimmed(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    """Cut 5 % off each side."""
    height, width = rgb.shape[:2]
    y, x = round(0.05 * height), round(0.05 * width)
    return rgb[y : height - y, x : width - x]


def _rotated(rgb: Pixels, random: Random, others: Sequence[Pixels], degrees: float) -> Pixels:
    """Rotate about the centre at the same size, either way. One colour fills the corners."""
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), _either(random, degrees, -degrees), 1)
    ground = _either(random, BLACK, WHITE)
    return np.asarray(cv2.warpAffine(rgb, turn, (width, height), borderValue=ground), np.uint8)


def _turned(rgb: Pixels, random: Random, others: Sequence[Pixels], quarters: int) -> Pixels:
    return np.rot90(rgb, quarters)


def _mirrored(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    return rgb[:, ::-1]


def _bordered(rgb: Pixels, random: Random, others: Sequence[Pixels], share: float) -> Pixels:
    height, width = rgb.shape[:2]
    return _padded(rgb, round(height * share), round(width * share), colour(random))


def _letterboxed(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    """Add black bars, each a quarter of the picture, at top and bottom or (tall pictures) the
    sides."""
    height, width = rgb.shape[:2]
    if width >= height:
        return _padded(rgb, height // 4, 0, BLACK)
    return _padded(rgb, 0, width // 4, BLACK)


def _combined(rgb: Pixels, random: Random, others: Sequence[Pixels]) -> Pixels:
    """Cut 15 % off each side, mirror, and draw a line of text across."""
    cut = _cropped(rgb, random, others, 0.85)
    return drawing.big_text(np.ascontiguousarray(cut[:, ::-1]), random, lines=1)


def _padded(rgb: Pixels, y: int, x: int, ground: drawing.Colour) -> Pixels:
    framed = cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_CONSTANT, value=ground)
    return np.asarray(framed, np.uint8)


def _clipped(values: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)


def _either(random: Random, one: T, other: T) -> T:
    return one if random.random() < 0.5 else other


ROWS = {
    "jpeg q10": Row(_nothing, quality=10),
    "jpeg q30": Row(_nothing, quality=30),
    "resize to 1/4": Row(partial(_resized, x=0.25, y=0.25)),
    "aspect +30 %": Row(partial(_resized, x=1.3, y=1)),
    "aspect -30 %": Row(partial(_resized, x=0.7, y=1)),
    "blur σ2": Row(partial(_blurred, sigma=2)),
    "blur σ4": Row(partial(_blurred, sigma=4)),
    "grey": Row(_grey),
    "brightness": Row(_brighter),
    "contrast": Row(_contrast),
    "gamma": Row(_gamma),
    "noise": Row(_noisy),
    "32 colours": Row(_few_colours),
    "crop to 90 %": Row(partial(_cropped, share=0.9)),
    "crop to 70 %": Row(partial(_cropped, share=0.7)),
    "crop to 50 %": Row(partial(_cropped, share=0.5)),
    "crop 5 % a side": Row(_trimmed),
    "rotate 5°": Row(partial(_rotated, degrees=5)),
    "rotate 15°": Row(partial(_rotated, degrees=15)),
    "rotate 25°": Row(partial(_rotated, degrees=25)),
    "rotate 90°": Row(partial(_turned, quarters=1)),
    "rotate 180°": Row(partial(_turned, quarters=2)),
    "mirror": Row(_mirrored),
    "border 10 %": Row(partial(_bordered, share=0.1)),
    "border 25 %": Row(partial(_bordered, share=0.25)),
    "letterbox": Row(_letterboxed),
    "caption bar": Row(lambda rgb, random, others: drawing.caption(rgb, random)),
    "big text": Row(lambda rgb, random, others: drawing.big_text(rgb, random)),
    "logo": Row(lambda rgb, random, others: drawing.logo(rgb, random)),
    "phone screenshot": Row(lambda rgb, random, others: screens.phone(rgb, random)),
    "desktop screenshot": Row(
        lambda rgb, random, others: screens.desktop(rgb, random, others[0]), others=1
    ),
    "collage 2×2": Row(
        lambda rgb, random, others: drawing.collage(rgb, random, list(others)), others=3
    ),
    "picture in picture": Row(
        lambda rgb, random, others: drawing.picture_in_picture(rgb, random, others[0], 0.4),
        others=1,
    ),
    "combo": Row(_combined, quality=40),
}
"""Row → edit. Other pictures are not in the gallery."""

HARD = ("collage 2×2", "picture in picture", "blur σ4", "rotate 25°")
"""Rows with a lower target."""
QUICK = (
    *("jpeg q10", "blur σ4", "grey", "crop to 50 %", "rotate 25°", "rotate 90°", "mirror"),
    *("border 25 %", "caption bar", "phone screenshot", "collage 2×2", "combo"),
)
"""Rows of the quick run."""
