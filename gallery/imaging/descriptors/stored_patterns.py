"""How an imgsmlr pattern is stored: 1.9 KB instead of 16; distances change by at most 0.001.

A shuffled pattern is smooth inside each band, so the low frequencies of its cosine transform hold
nearly all of it. They are rounded to steps and deflated. The transform keeps lengths, so distances
are measured on it. What rounding adds to a squared distance is known, because the query is not
rounded, and is taken off (docs/adr/0039-stored-patterns.md).
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from gallery.imaging.descriptors.base import Vector
from gallery.imaging.descriptors.haar import SIDE, Floats, bands
from gallery.shared.errors import UserError

STEP: Final = 1 / 2000
"""16 bits hold all codes: the largest coefficient is 16, that of a chess board of single pixels."""

KEPT: Final = {32: 24, 16: 16}
"""Side of a band → side of its square of low frequencies that is stored. Smaller bands are stored
as they are."""

INNER: Final = min(KEPT)
FIRST: Final = 304
"""Coefficients that are not deflated. They make 97 % of a distance, so they tell at once which
patterns are too far."""

COEFFICIENTS: Final = sum(3 * side**2 for side in KEPT.values()) + INNER**2

Codes = NDArray[np.int16]
"""Coefficients in steps: shape (patterns, ``COEFFICIENTS``), low frequencies first."""

_VERSION: Final = 1
_HEAD: Final = np.dtype([("version", "u1"), ("error", "<f8"), ("first", "<i2", (FIRST,))])
_REST: Final = COEFFICIENTS - FIRST
_WINDOW: Final = -13
"""Raw deflate, of 8 KB: all that is deflated."""

_DAMAGED: Final = "A stored pattern is damaged: describe its image again."


class NotAPattern(UserError):
    """The bytes are damaged, or were written by another version."""

    code = "not_a_pattern"


def _low_frequencies_first() -> NDArray[np.intp]:
    """Return the order that makes runs of zeros at the end, which deflate well."""
    parts = [np.add.outer(range(side), range(side)) for side in KEPT.values() for _ in range(3)]
    frequencies = [*(part.ravel() for part in parts), np.full(INNER**2, -1)]
    return np.argsort(np.concatenate(frequencies), kind="stable")


_ORDER: Final = _low_frequencies_first()
_BACK: Final = np.argsort(_ORDER)


def transformed(patterns: NDArray[np.floating]) -> Floats:
    """Return the coefficients of patterns, shape (patterns, 4096), as (patterns, COEFFICIENTS)."""
    square = patterns.reshape(-1, SIDE, SIDE).astype(np.float64)
    parts = []
    for n, side in KEPT.items():
        for x, y in bands(n):
            frequencies = dctn(square[:, x, y], axes=(1, 2), norm="ortho")
            parts.append(frequencies[:, :side, :side].reshape(len(square), -1))
    parts.append(square[:, :INNER, :INNER].reshape(len(square), -1))
    return np.concatenate(parts, axis=1)[:, _ORDER]


def encoded(patterns: NDArray[np.floating]) -> tuple[Codes, Floats]:
    """Return the codes of patterns, and the squared lengths of what rounding changed."""
    exact = transformed(patterns)
    codes = np.rint(exact / STEP).clip(-32_768, 32_767).astype(np.int16)
    return codes, _squares(exact / STEP - codes) * STEP**2


def decoded(codes: Codes) -> NDArray[np.float32]:
    """Return the patterns (n, 4096) of codes, as near as they are stored."""
    values = (codes * STEP)[:, _BACK]
    patterns = np.zeros((len(codes), SIDE, SIDE))
    start = 0
    for n, side in KEPT.items():
        for x, y in bands(n):
            part = values[:, start : start + side**2].reshape(-1, side, side)
            patterns[:, x, y] = idctn(part, s=(n, n), axes=(1, 2), norm="ortho")
            start += side**2
    patterns[:, :INNER, :INNER] = values[:, start:].reshape(-1, INNER, INNER)
    return patterns.reshape(len(codes), -1).astype(np.float32)


def pack(codes: Codes, error: float) -> bytes:
    """Return the bytes of one pattern, of its codes (COEFFICIENTS,) and its error."""
    head, rest = np.array((_VERSION, error, codes[:FIRST]), _HEAD), codes[FIRST:]
    folded = ((rest << 1) ^ (rest >> 15)).astype("<u2")  # 0, −1, 1, −2, … → 0, 1, 2, 3, …
    planes = folded.view(np.uint8).reshape(-1, 2).T.tobytes()
    deflate = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, 9, zlib.Z_FILTERED)
    return head.tobytes() + deflate.compress(planes) + deflate.flush()


def pack_pattern(pattern: Vector) -> bytes:
    """Return the bytes of a pattern (4096,) of ``Haar``."""
    (codes,), (error,) = encoded(pattern[np.newaxis])
    return pack(codes, error)


def unpack(packed: Sequence[bytes]) -> tuple[Codes, Floats]:
    """Return the codes and errors that ``pack`` wrote. Raises ``NotAPattern``."""
    heads = _heads(packed)
    try:
        planes = [zlib.decompress(one[_HEAD.itemsize :], _WINDOW, 2 * _REST) for one in packed]
    except zlib.error as error:
        raise NotAPattern(_DAMAGED) from error
    if any(len(one) != 2 * _REST for one in planes):
        raise NotAPattern(_DAMAGED)
    read = np.frombuffer(b"".join(planes), np.uint8).reshape(-1, 2, _REST)
    folded = read[:, 0] | read[:, 1].astype(np.uint16) << 8
    rest = (folded >> 1).astype(np.int16) ^ -(folded & 1).astype(np.int16)
    return np.concatenate([heads["first"], rest], axis=1, dtype=np.int16), heads["error"]


def _heads(packed: Sequence[bytes]) -> NDArray[np.void]:
    """Return what is not deflated."""
    heads = b"".join(one[: _HEAD.itemsize] for one in packed)
    if len(heads) != len(packed) * _HEAD.itemsize:
        raise NotAPattern(_DAMAGED)
    read = np.frombuffer(heads, _HEAD)
    if (read["version"] != _VERSION).any():
        raise NotAPattern(_DAMAGED)
    return read


def unpack_pattern(packed: bytes) -> Vector:
    """Return a pattern (4096,), as near as it is stored. Raises ``NotAPattern``."""
    pattern: Vector = decoded(unpack([packed])[0])[0]
    return pattern


@dataclass(frozen=True)
class PatternQuery:
    """A pattern to compare stored ones with: its coefficients and the error of these."""

    coefficients: Floats
    error: float = 0.0

    @classmethod
    def of(cls, pattern: Vector | bytes) -> PatternQuery:
        """``pattern``: that of a picture (4096,), or one that is stored."""
        if not isinstance(pattern, bytes):
            return cls(transformed(np.asarray(pattern)[np.newaxis])[0])
        (codes,), (error,) = unpack([pattern])
        return cls(codes * STEP, error)

    def distances(self, packed: Sequence[bytes]) -> Floats:
        """Return the distances of imgsmlr to stored patterns."""
        return self._distances(*unpack(packed))

    def least(
        self, packed: Sequence[tuple[int, bytes]], within: float = math.inf
    ) -> dict[int, float]:
        """Return the least distance of the patterns of each item, of those that are not farther
        than ``within``."""
        heads = _heads([one for _, one in packed])
        near = self._distances(heads["first"], heads["error"]) <= within
        kept = list(itertools.compress(packed, near))
        found = dict[int, float]()
        far = self.distances([one for _, one in kept]).tolist()
        for (item, _), distance in zip(kept, far, strict=True):
            if distance <= within:
                found[item] = min(distance, found.get(item, distance))
        return found

    def _distances(self, codes: Codes, errors: Floats) -> Floats:
        """Of the first coefficients alone, distances are never larger."""
        query = self.coefficients[: codes.shape[1]] / STEP
        squares = _squares(np.subtract(codes, query, dtype=np.float64)) * STEP**2
        return np.sqrt(np.maximum(squares - errors - self.error, 0.0))


def _squares(rows: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))
