"""Applies colour profiles of three curves and a matrix, which cameras and screens have.

lcms takes three times as long. ``colour`` uses this way only where both agree.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.decoding.icc_profiles import BT709, xyz_matrix
from gallery.imaging.pixels import Pixels

_ROWS: Final = 16  # a strip of this height stays in the processor's cache
_TAGS: Final = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
_TOP: Final = 65_535
_PARAMETERS: Final = (1, 3, 4, 5, 7)


@dataclass(frozen=True, slots=True, eq=False)
class MatrixProfile:
    """``curves``: 1 × 256 × 3, stored value → linear light. ``matrix``: linear light → linear sRGB
    (white is 65535)."""

    curves: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def apply(self, rgb: Pixels) -> Pixels:
        """Convert height × width × 3 to sRGB."""
        out = np.empty_like(rgb)
        for top in range(0, rgb.shape[0], _ROWS):
            light = cv2.LUT(rgb[top : top + _ROWS], self.curves)
            mixed = cv2.transform(light, self.matrix)
            np.clip(mixed, 0, _TOP, out=mixed)
            out[top : top + _ROWS] = cv2.LUT(mixed.astype(np.uint16), _encoding())
        return out


def parse_matrix_profile(icc: bytes) -> MatrixProfile | None:
    """Return None for profiles with tables instead of a matrix, and for damaged ones."""
    try:
        tags = _tags(icc)
        if any(name.startswith((b"A2B", b"D2B")) for name in tags):
            return None
        contents = [tags[name] for name in _TAGS]
        columns = [np.array(struct.unpack_from(">3i", xyz, 8)) / 65536 for xyz in contents[:3]]
        curves = [_curve(content) for content in contents[3:]]
    except (KeyError, struct.error, ValueError, ZeroDivisionError):
        return None
    to_srgb = np.linalg.inv(xyz_matrix(BT709)) @ np.stack(columns, axis=1)
    return MatrixProfile(
        np.stack(curves, axis=-1).astype(np.float32)[None],
        (to_srgb * _TOP).astype(np.float32),
    )


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    found = {}
    for entry in range(min(count, 100)):
        name, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * entry)
        found[name] = icc[offset : offset + size]
    return found


def _curve(tag: bytes) -> NDArray[np.float64]:
    """Return the curve at 256 stored values. Raises ValueError for an unknown kind."""
    x = np.arange(256) / 255
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        if count == 1:
            return np.asarray(x ** (struct.unpack_from(">H", tag, 12)[0] / 256))
        table = np.frombuffer(tag, ">u2", count, 12) / _TOP
        return np.interp(x, np.linspace(0, 1, count), table)
    (function,) = struct.unpack_from(">H", tag, 8)
    if kind != b"para" or function >= len(_PARAMETERS):
        raise ValueError("unknown curve")
    values = [v / 65536 for v in struct.unpack_from(f">{_PARAMETERS[function]}i", tag, 12)]
    return _parametric(function, values, x)


def _parametric(function: int, values: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute parametricCurveType of ICC.1, functions 0 to 4."""
    g, a, b, c, d, e, f = (*values, *[0.0] * (7 - len(values)))
    if function == 0:
        return np.asarray(x**g)
    power = np.maximum(a * x + b, 0) ** g
    if function in (1, 2):  # c is added to both parts
        added = c if function == 2 else 0.0
        return np.where(x >= -b / a, power + added, added)
    if function == 3:
        return np.where(x >= d, power, c * x)
    return np.where(x >= d, power + e, c * x + f)


@cache
def _encoding() -> Pixels:
    """Return the table 16-bit linear light → 8-bit sRGB."""
    light = np.arange(_TOP + 1) / _TOP
    curved = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (curved * 255).round().astype(np.uint8)
