"""Makes ICC profiles for files that state their colours in another way.

Files may state chromaticities and a gamma, or CICP numbers (ITU-T H.273: cICP in PNG, ``nclx`` in
AVIF and HEIC).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Chromaticity = tuple[float, float]
"""x, y."""

Primaries = tuple[Chromaticity, Chromaticity, Chromaticity, Chromaticity]
"""White, red, green, blue."""

_D65: Final = (0.3127, 0.3290)
BT709: Final[Primaries] = (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES: Final[dict[int, Primaries]] = {
    1: BT709,
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}

_D50: Final = np.array([0.9642, 1.0, 0.8249])
_BRADFORD: Final = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_WHITE_NITS: Final = 203.0  # ITU-R BT.2408: the white of graphics in HDR


@lru_cache(64)
def profile_of_gamma(gamma: float, primaries: Primaries | None) -> bytes:
    """``gamma``: as in PNG, the exponent of encoding (0.45455 for screens). Invalid primaries are
    replaced by those of sRGB."""
    exponent = min(max(1 / gamma, 1 / 256), 255.0)
    curve = struct.pack(">4sIIH", b"curv", 0, 1, round(exponent * 256))
    return _profile(xyz_matrix(primaries if primaries and _spans(primaries) else BT709), curve)


@lru_cache(64)
def profile_of_cicp(primaries: int, transfer: int) -> bytes | None:
    """Return None if it looks like sRGB on a screen, or is not known."""
    known = _PRIMARIES.get(primaries, BT709)
    if known == BT709 and transfer not in (4, 5, 8, 16, 18):
        return None
    values = np.clip(_linear(np.linspace(0, 1, 1024), transfer), 0, 1)
    table = (values * 65535).round().astype(">u2").tobytes()
    matrix = xyz_matrix(known)
    return _profile(matrix, struct.pack(">4sII", b"curv", 0, 1024) + table)


def _linear(v: NDArray[np.float64], transfer: int) -> NDArray[np.float64]:
    """Convert stored values 0..1 to linear light; white is 1."""
    if transfer == 4:
        return np.asarray(v**2.2)
    if transfer == 5:
        return np.asarray(v**2.8)
    if transfer == 8:
        return v
    if transfer == 16:  # PQ
        power = v ** (1 / 78.84375)
        light = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        return np.asarray(light ** (1 / 0.1593017578125) * 10_000 / _WHITE_NITS)
    if transfer == 18:  # HLG on a screen of 1000 nits
        scene = np.where(
            v <= 0.5, v * v / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        return np.asarray(scene**1.2 * 1000 / _WHITE_NITS)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _spans(primaries: Primaries) -> bool:
    if any(not 0 < y <= 1 or not 0 <= x <= 1 for x, y in primaries):
        return False
    white, *columns = _columns(primaries)
    volume = abs(np.linalg.det(np.stack(columns, axis=1)))
    return bool(volume > 1e-3 and (np.abs(_BRADFORD @ white) > 1e-3).all())


def _columns(primaries: Primaries) -> list[NDArray[np.float64]]:
    """Return X, Y, Z of each, with Y = 1."""
    return [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries]


def xyz_matrix(primaries: Primaries) -> NDArray[np.float64]:
    """Return 3 × 3: linear R, G, B → XYZ adapted to D50."""
    white, *colours = _columns(primaries)
    columns = np.stack(colours, axis=1)
    scaled = columns * np.linalg.solve(columns, white)
    cones = _BRADFORD @ white
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD
    return np.asarray(adapt @ scaled)


def _profile(matrix: NDArray[np.float64], curve: bytes) -> bytes:
    curve += bytes(-len(curve) % 4)
    points = [_xyz(_D50), *(_xyz(column) for column in matrix.T)]
    start = 128 + 4 + 7 * 12
    tags, body = [], b""
    for name, content in zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), points, strict=True):
        tags.append((name, start + len(body), len(content)))
        body += content
    tags += [(name, start + len(body), len(curve)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    body += curve
    table = b"".join(struct.pack(">4sII", *tag) for tag in tags)
    header = bytearray(128)
    header[0:4] = (start + len(body)).to_bytes(4, "big")
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = b"mntrRGB XYZ "
    header[36:40] = b"acsp"
    header[68:80] = _xyz(_D50)[8:]
    return bytes(header) + struct.pack(">I", len(tags)) + table + body


def _xyz(values: NDArray[np.float64]) -> bytes:
    fixed = [int(np.clip(round(float(v) * 65536), -(2**31), 2**31 - 1)) for v in values]
    return struct.pack(">4sI3i", b"XYZ ", 0, *fixed)
