"""The ``imgsmlr`` match type: a Haar wavelet pattern, as libimgsmlr 0.1.6 computes it.

A picture is reduced to 64×64 brightnesses and transformed to a wavelet ``pattern`` indexed [x][y].
The ``signature`` of 16 band energies finds candidates. The ``shuffled`` pattern, blurred inside
each band so that small shifts matter little, ranks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import (
    Columns,
    DescribablePicture,
    FlatPicture,
    PixelsDescriptor,
    Vector,
)
from gallery.imaging.pixels import Pixels

SIDE = 64

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Haar(PixelsDescriptor):
    """Stores ``haar`` (16 float32) and ``pattern`` (4096 float32).

    The stored pattern is the shuffled one times √m, so that its plain L2 distance, pgvector's
    ``<->``, is the weighted distance of libimgsmlr.
    """

    name = "imgsmlr"

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        """Return ``haar`` and ``pattern`` of each picture; None for a flat one."""
        return [self._describe(picture.legacy_rgb) for picture in pictures]

    def _describe(self, rgb: Pixels) -> Columns | None:
        try:
            wavelets = pattern(rgb)
        except FlatPicture:
            return None
        return columns_of(signature(wavelets), shuffled(wavelets))

    def distance(self, a: Columns, b: Columns) -> float:
        """Return the weighted L2 distance of the shuffled patterns."""
        return _l2(a["pattern"], b["pattern"])

    def signature_distance(self, a: Columns, b: Columns) -> float:
        """Return the L2 distance of the signatures, by which candidates are found."""
        return _l2(a["haar"], b["haar"])

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        return {
            "distance": self.distance(a, b),
            "signature_distance": self.signature_distance(a, b),
        }


def columns_of(signature: Floats, shuffled: Floats) -> Columns:
    """Return what is stored of a signature (16) and a shuffled pattern (64×64, indexed [x][y])."""
    stored = (shuffled * _ROOT_WEIGHTS).astype(np.float32)
    return {"haar": signature.astype(np.float32), "pattern": stored.ravel()}


def pattern(rgb: Pixels) -> Floats:
    """Return wavelet coefficients of uint8 H×W×3, float64 64×64, indexed [x][y].
    Raises ``FlatPicture`` if all 64×64 brightnesses are equal."""
    colour = shrink(rgb).astype(np.float64)
    value = np.sqrt((colour**2).sum(axis=2) / 3) / 255
    low, high = value.min(), value.max()
    if low == high:
        raise FlatPicture
    average = ((value - low) / (high - low)).T
    out = np.empty((SIDE, SIDE))
    for n in (32, 16, 8, 4, 2, 1):
        a, b = average[0::2, 0::2], average[1::2, 0::2]
        c, d = average[0::2, 1::2], average[1::2, 1::2]
        out[n : 2 * n, :n] = (b - a + d - c) / 4
        out[:n, n : 2 * n] = (c - a + d - b) / 4
        out[n : 2 * n, n : 2 * n] = (a - b - c + d) / 4
        average = (a + b + c + d) / 4
    out[0, 0] = average[0, 0]
    return out


def shrink(rgb: Pixels) -> Pixels:
    """Area-average uint8 H×W×3 to 64×64×3, also when that enlarges, rounded half up.

    A target pixel is the mean of the source area it covers, fractional edges included. Exact up
    to 500 megapixels: all sums are integers, in units of 1/64 of a side of a pixel.
    """
    height, width = rgb.shape[:2]
    lines = rgb.reshape(height, -1)
    starts, parts = _edges(height)
    rows = np.zeros((SIDE, width * 3), np.int32)
    for row, (start, end) in enumerate(pairwise(starts.tolist())):
        if start < end:
            into = rows[row : row + 1]
            cv2.reduce(lines[start:end], 0, cv2.REDUCE_SUM, dst=into, dtype=cv2.CV_32S)
    rows *= SIDE
    rows -= lines[starts[:-1]] * parts[:-1, np.newaxis]
    rows += lines[np.minimum(starts[1:], height - 1)] * parts[1:, np.newaxis]
    columns = rows.reshape(SIDE, width, 3).swapaxes(0, 1).reshape(width, -1)
    starts, parts = _edges(width)
    sums = np.add.reduceat(columns, starts[:-1], axis=0, dtype=np.int64)
    sums *= np.where(np.diff(starts), SIDE, 0)[:, np.newaxis]  # 0: it covers a part of one pixel
    sums -= columns[starts[:-1]] * parts[:-1, np.newaxis].astype(np.int64)
    sums += columns[np.minimum(starts[1:], width - 1)] * parts[1:, np.newaxis].astype(np.int64)
    area = height * width
    means: Pixels = ((2 * sums + area) // (2 * area)).astype(np.uint8)
    return means.reshape(SIDE, SIDE, 3).swapaxes(0, 1)


def _edges(length: int) -> tuple[Integers, NDArray[np.int32]]:
    """Return the 65 edges of 64 equal parts of ``length``: whole pixels, and 64ths of the next."""
    whole, parts = np.divmod(np.arange(SIDE + 1, dtype=np.int64) * length, SIDE)
    return whole, parts.astype(np.int32)


def signature(wavelets: Floats) -> Floats:
    """Return 16 weighted band energies, float64, of an unshuffled pattern; the last is the mean."""
    out = []
    for weight, n in ((1, 16), (2, 8), (4, 4), (8, 2), (16, 1)):
        out += [weight * np.linalg.norm(wavelets[band]) for band in bands(n)]
    return np.array([*out, wavelets[0, 0]])


def shuffled(wavelets: Floats) -> Floats:
    """Replace each coefficient by the energy around it, inside its own band."""
    out = wavelets.copy()
    for n, (kernel, norm) in _SHUFFLE.items():
        energy = _filter(np.dstack([wavelets[band] for band in bands(n)]) ** 2, kernel) / norm
        # The filter uses a Fourier transform, which makes some zeros slightly negative.
        energy = np.sqrt(np.maximum(energy, 0))
        for channel, band in enumerate(bands(n)):
            out[band] = energy[:, :, channel]
    return out


def _filter(values: Floats, kernel: Floats) -> Floats:
    """Sum neighbours weighted by ``kernel``; values beyond the border are 0."""
    filtered = cv2.filter2D(values, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
    return filtered.astype(np.float64, copy=False)


def bands(n: int) -> tuple[tuple[slice, slice], ...]:
    """Return the three detail blocks of size n×n, in libimgsmlr's order."""
    near, far = slice(0, n), slice(n, 2 * n)
    return (far, near), (near, far), (far, far)


def _shuffle_kernel(n: int) -> tuple[Floats, Floats]:
    """Return weights 1 − distance/(n/4) where positive, and their n×n×1 sums inside a block."""
    reach = n // 4
    offset = np.arange(1.0 - reach, reach)
    kernel = np.maximum(1 - np.hypot(offset[:, np.newaxis], offset) / reach, 0)
    return kernel, _filter(np.ones((n, n)), kernel)[:, :, np.newaxis]


def _root_weights() -> Floats:
    """Return √m: m doubles with each coarser band, 1 to 32, and is 64 for the mean."""
    weights = np.full((SIDE, SIDE), 64.0)
    for m, n in ((1, 32), (2, 16), (4, 8), (8, 4), (16, 2), (32, 1)):
        for band in bands(n):
            weights[band] = m
    return np.asarray(np.sqrt(weights))


def _l2(a: Vector, b: Vector) -> float:
    return float(np.linalg.norm(np.subtract(a, b, dtype=np.float64)))


_SHUFFLE = {n: _shuffle_kernel(n) for n in (32, 16, 8, 4)}
_ROOT_WEIGHTS = _root_weights()
