"""What a picture may have been before it was edited, as PDQ hashes: borders taken away, a turn
undone, what a crop took put back by reflection, the negative.

A hash cannot be searched with a part of its picture, but each way in which a picture is usually
edited can be undone on the copy. All is done on 128 × 128 samples of the picture, made once: the
hash sees eight waves a side at most, and taking 64 × 64 samples elsewhere costs microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.descriptors.base import Pixels
from gallery.descriptors.pdq_transform import SIDE, Floats, luma, quality, sampled, turned_hashes
from gallery.trimming import trim

FIELD: Final = 128
"""Samples each way that variants are taken from."""

DEGREES: Final = (3, 6, 10)

Grid = tuple[Floats, Floats]
"""Where the samples of an earlier picture lie in the field: columns and rows, 64 × 64 each."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What was done to a picture. ``kind``: what is calibrated together; ``words`` for people."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """n edits, and the n × 8 × 32 bytes of the hashes before each of them, in all eight turns."""

    edits: Sequence[Edit]
    hashes: NDArray[np.uint8]


def _unit() -> Floats:
    return (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE


def crops(shares=(0.95, 0.9, 0.8), steps=(3,5,5)) -> Iterator[tuple[Edit, Grid]]:
    unit = _unit()
    for share, n in zip(shares, steps):
        for y in np.linspace(0, 1 - share, n):
            for x in np.linspace(0, 1 - share, n):
                cols = (unit - x) / share
                rows = (unit - y) / share
                yield Edit(f"crop{round(share * 100)}", f"{x:.2f},{y:.2f}"), np.meshgrid(cols, rows)


def turns(width: int, height: int, degrees, canvases="KEI") -> Iterator[tuple[Edit, Grid]]:
    unit = _unit()
    u, v = np.meshgrid(unit - 0.5, unit - 0.5)
    for degree in degrees:
        cos, sin = math.cos(math.radians(degree)), math.sin(math.radians(degree))
        s = abs(sin)
        for canvas in canvases:
            w0, h0 = width, height
            if canvas == "E":
                w0, h0 = np.linalg.solve([[cos, s], [s, cos]], [width, height])
                if min(w0, h0) < 0.3 * min(width, height):
                    continue
            elif canvas == "I":
                k = min(width / (width * cos + height * s), height / (width * s + height * cos))
                w0, h0 = width / k, height / k
            x, y = u * w0, v * h0
            yield (
                Edit(f"turn{abs(degree)}{canvas}", f"{degree}{canvas}"),
                ((cos * x - sin * y) / width + 0.5, (sin * x + cos * y) / height + 0.5),
            )


def take(field: Floats, grids: Sequence[Grid]) -> Floats:
    """Samples at positions from 0 to 1; beyond the edges the picture goes on mirrored."""
    columns = np.concatenate([g[0] for g in grids]).astype(np.float32) * FIELD - 0.5
    rows = np.concatenate([g[1] for g in grids]).astype(np.float32) * FIELD - 0.5
    return cv2.remap(field, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).reshape(-1, SIDE, SIDE)
