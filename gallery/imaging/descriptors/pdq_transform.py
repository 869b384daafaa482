"""From pixels to PDQ bits, by linear algebra: the numbers of Meta's reference code, in 1/20 of its
time.

The reference blurs luma by two box filters a side and takes 64 × 64 samples. Both are linear and
separable, so that two sparse matrices do the same: only what is sampled is ever computed, and huge
pictures need no reducing first. Sixteen frequencies a side are then compared with their median.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gallery.imaging.descriptors.base import Pixels

Floats = NDArray[np.float32]

SIDE: Final = 64
"""Samples of a picture, each way."""

FREQUENCIES: Final = 16
"""Used of each side; what is constant is not."""

_ODD: Final = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)[np.newaxis]
"""The sign that mirroring gives each frequency across."""

STRIP: Final = 65_536
"""Pixels whose luma is made at a time: it then stays in a core's cache."""


def luma(rgb: Pixels) -> Floats:
    """Brightness as the reference weighs it, 0 to 255."""
    height, width = rgb.shape[:2]
    found = np.empty((height, width), np.float32)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = rgb[top : top + rows].astype(np.float32)
        found[top : top + rows] = cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY)
    return found


def sampled(brightness: Floats, count: int = SIDE) -> Floats:
    """``count`` × ``count`` samples of the blurred picture; the hash is of 64 × 64."""
    height, width = brightness.shape
    columns = _sampling(height, count) @ brightness
    return np.ascontiguousarray((_sampling(width, count) @ columns.T).T)


def quality(samples: Floats) -> int:
    """How much there is to tell one picture from another: 0, featureless, to 100."""
    total = 0
    for axis in (0, 1):
        steps = np.diff(samples, axis=axis) * np.float32(100) / np.float32(255)
        total += int(np.abs(np.trunc(steps)).sum())
    return min(100, total // 90)


def hashes(samples: Floats) -> NDArray[np.uint8]:
    """n × 64 × 64 samples → n hashes of 32 bytes."""
    return packed(margins(frequencies(samples)))


def packed(margins: Floats) -> NDArray[np.uint8]:
    """… × 256 margins → … × 32 bytes, the hashes."""
    return np.packbits(margins > 0, axis=-1)


def frequencies(samples: Floats) -> Floats:
    """n × 64 × 64 samples → n × 16 × 16 frequencies, the highest first, as the bits are."""
    cosines = _cosines()
    return np.asarray((cosines @ samples @ cosines.T)[:, ::-1, ::-1], np.float32)


def margins(frequencies: Floats) -> Floats:
    """n × 16 × 16 → n × 256: by how much each frequency is above the median of them."""
    return _above_median(frequencies).reshape(len(frequencies), -1)


def mirrored(frequencies: Floats) -> Floats:
    """Those of the picture mirrored left to right: each second one has the other sign."""
    return frequencies * _ODD


def turned_margins(frequencies: Floats) -> Floats:
    """n × 16 × 16 → n × 8 × 256: the margins of the picture turned and mirrored in all ways, in
    the order of the reference, its own first.

    Turning swaps the axes of the frequencies, mirroring changes the signs of every second one.
    """
    plain, downwards, sideways, both = (
        _above_median(frequencies * signs) for signs in (np.float32(1), _ODD.T, _ODD, _ODD * _ODD.T)
    )
    turns = (
        *(plain, sideways.swapaxes(1, 2), both, downwards.swapaxes(1, 2)),
        *(downwards, sideways, plain.swapaxes(1, 2), both.swapaxes(1, 2)),
    )
    return np.stack(turns, axis=1).reshape(len(frequencies), len(turns), -1)


def _above_median(values: Floats) -> Floats:
    flat = values.reshape(len(values), -1)
    middle = flat.shape[1] // 2 - 1
    medians = np.partition(flat, middle, axis=1)[:, middle]
    return np.asarray(values - medians[:, np.newaxis, np.newaxis], np.float32)


@lru_cache(1)
def _cosines() -> Floats:
    rows, columns = np.arange(1, FREQUENCIES + 1)[:, np.newaxis], np.arange(SIDE)
    waves = np.cos(np.pi / 2 / SIDE * rows * (2 * columns + 1))
    return np.asarray(np.sqrt(2 / SIDE) * waves, np.float32)


@lru_cache(256)
def _sampling(length: int, count: int) -> csr_array[Any]:
    """Which pixels of a line make up each sample: a box over a box, cut at the ends."""
    window = -(-length // (2 * SIDE))
    half = (window + 2) // 2
    pixel = np.arange(length)
    first, last = np.maximum(0, pixel - (window - half)), np.minimum(length, pixel + half)
    centres = ((np.arange(count) + 0.5) * length / count).astype(np.intp)
    values: list[float] = []
    columns: list[int] = []
    ends = [0]
    for centre in centres.tolist():
        inner = range(first[centre], last[centre])
        start, end = int(first[inner[0]]), int(last[inner[-1]])
        weights = np.zeros(end - start)
        for one in inner:
            weights[first[one] - start : last[one] - start] += 1 / (last[one] - first[one])
        values += (weights / len(inner)).tolist()
        columns += range(start, end)
        ends.append(len(values))
    parts = np.array(values, np.float32), np.array(columns), np.array(ends)
    return csr_array(parts, shape=(count, length))
