"""What a picture may have been before it was edited, as PDQ hashes: a border taken away, a turn
undone, what was cropped away made up for by reflection, the negative.

A hash cannot be compared with a part of its picture. But the usual edits can be undone on the
copy, nearly: what is lost beyond an edge goes on mirrored. All of it is done on 128 × 128 samples
of the picture that are made once. The hash sees eight waves a side at most, so that samples taken
between them are exact enough, and an edit costs 0.1 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import cv2
import numpy as np

from gallery.descriptors.base import Pixels
from gallery.descriptors.pdq_transform import (
    SIDE,
    Floats,
    luma,
    packed,
    quality,
    sampled,
    turned_margins,
)
from gallery.trimming import trim

FIELD: Final = 128
"""Samples each way that edits are undone on."""

DEGREES: Final = (3, 6, 8, 10)

CROPS: Final = ((97, 1), (95, 3), (90, 5), (80, 1))
"""Per cent of each side that are left, and of how many places a side the rest may be missing."""

EIGHT: Final = tuple(range(8))
MIRRORED: Final = 5
"""Which of the eight turns is the picture mirrored left to right."""

BORDER_LEVELS: Final = 12
BORDER_STRAY: Final = 0.02
"""Levels by which a border may differ within itself, and the share of a line that may be more."""

Grid = tuple[Floats, Floats]
"""Columns and rows of 64 × 64 samples in the picture, each from 0 to 1 within it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What was done to a picture. ``kind``: what is calibrated together. ``words``: for people."""

    kind: str
    words: str
    turns: tuple[int, ...] = (0, MIRRORED)


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """A picture before an edit, in one of the eight turns.

    ``margins``: by how much each of the 256 values is above the median, which the hash cuts at.
    """

    edit: Edit
    turn: int
    hash: bytes
    margins: Floats

    @property
    def words(self) -> str:
        """The edit, and whether the picture was mirrored or turned as well."""
        if self.turn == 0:
            return self.edit.words
        return f"{self.edit.words}, {'mirrored' if self.turn == MIRRORED else 'turned or mirrored'}"

    def contradiction(self, hash: bytes) -> float:
        """The share, 0 to 1, of what this picture says that a hash denies.

        Bits near the median flip easily. In a copy only those differ; in another picture that
        happens to be near also bits that are certain.
        """
        ours, theirs = (np.frombuffer(one, np.uint8) for one in (self.hash, hash))
        weights = np.abs(self.margins)
        return float(weights[np.unpackbits(ours ^ theirs) == 1].sum() / max(weights.sum(), 1e-9))


def variants(rgb: Pixels, least_quality: int) -> list[Variant]:
    """A picture before each edit that is tried, but for what says too little to be compared."""
    if min(rgb.shape[:2]) < SIDE // 2:
        return []
    brightness = luma(reduced(rgb))
    found: list[Variant] = []
    field = sampled(brightness, FIELD)
    plain = sampled(brightness)
    if quality(plain) >= least_quality:
        found += _turned([Edit("negative", "negative", EIGHT)], 255 - plain[np.newaxis])
        edits = [*_crops(), *_turns(*brightness.shape[::-1])]
        found += _turned([edit for edit, _ in edits], _taken(field, [grid for _, grid in edits]))
    for inner in _within_borders(rgb, brightness):
        samples = sampled(inner)
        if quality(samples) >= least_quality:
            found += _turned([Edit("border", "with a border", EIGHT)], samples[np.newaxis])
    return found


def reduced(rgb: Pixels) -> Pixels:
    """At most 512 pixels a side: a few bits of a hash of what was turned and cropped anyway."""
    height, width = rgb.shape[:2]
    scale = 512 / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(edits: Sequence[Edit], samples: Floats) -> list[Variant]:
    margins = turned_margins(samples)
    hashes = packed(margins)
    return [
        Variant(edit, turn, hashes[number, turn].tobytes(), margins[number, turn])
        for number, edit in enumerate(edits)
        for turn in edit.turns
    ]


def _taken(field: Floats, grids: Sequence[Grid]) -> Floats:
    """The samples at these places; beyond the edges the picture goes on mirrored."""
    columns, rows = (
        np.concatenate([grid[axis] for grid in grids]).astype(np.float32) * FIELD - 0.5
        for axis in (0, 1)
    )
    taken = cv2.remap(field, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(taken, np.float32).reshape(-1, SIDE, SIDE)


def _places() -> Floats:
    return np.asarray((np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE, np.float32)


@lru_cache(1)
def _crops() -> list[tuple[Edit, Grid]]:
    found = []
    for per_cent, steps in CROPS:
        edit = Edit(f"crop {per_cent}", f"cropped to {per_cent} %")
        share = per_cent / 100
        for top, left in product(_offsets(1 - share, steps), repeat=2):
            columns, rows = np.meshgrid((_places() - left) / share, (_places() - top) / share)
            found.append((edit, (columns, rows)))
    return found


def _offsets(missing: float, steps: int) -> list[float]:
    """How much of what is missing was before the picture: a half, or from nothing to all."""
    return [missing / 2] if steps == 1 else np.linspace(0, missing, steps).tolist()


def _turns(width: int, height: int) -> Iterator[tuple[Edit, Grid]]:
    """The picture before it was turned: its canvas kept, grown, or cut to what is filled."""
    across, down = np.meshgrid(_places() - 0.5, _places() - 0.5)
    for degrees in (sign * degree for degree in DEGREES for sign in (1, -1)):
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        edit = Edit(f"turn {abs(degrees):g}", f"turned {abs(degrees):g}°")
        for before in _before_turning(width, height, cos, abs(sin)):
            x, y = across * before[0], down * before[1]
            columns = (cos * x - sin * y) / width + 0.5
            rows = (sin * x + cos * y) / height + 0.5
            yield edit, (columns, rows)


def _before_turning(
    width: int, height: int, cos: float, sin: float
) -> Iterator[tuple[float, float]]:
    """Width and height that the picture may have had."""
    yield width, height
    divisor = cos * cos - sin * sin
    grown = (width * cos - height * sin) / divisor, (height * cos - width * sin) / divisor
    if min(grown) > 0:
        yield grown
    left = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    yield width / left, height / left


def _within_borders(rgb: Pixels, brightness: Floats) -> Iterator[Floats]:
    """What is left without the outermost border, and without all plain margins."""
    outer = _outer_border(brightness)
    if outer is not None:
        yield outer
    small = reduced(rgb)
    box = trim(small)
    if box is not None:
        left, top, right, bottom = box
        inner = brightness[top:bottom, left:right]
        if outer is None or inner.shape != outer.shape:
            yield np.ascontiguousarray(inner)


def _outer_border(brightness: Floats) -> Floats | None:
    """Without the lines at each edge that have the colour of the corner; None if there are none."""
    differs = np.abs(brightness - brightness[0, 0]) > BORDER_LEVELS
    rows, columns = (np.flatnonzero(differs.mean(axis=axis) > BORDER_STRAY) for axis in (1, 0))
    if len(rows) < SIDE // 2 or len(columns) < SIDE // 2:
        return None
    inner = brightness[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return None if inner.shape == brightness.shape else np.ascontiguousarray(inner)
