"""PDQ hashes as four words each, sorted by what mirroring does to their bits.

A hash is 16 rows of 16 bits, one for each frequency of a picture. Mirroring a picture inverts every
second row, every second column, or both. So there is a word for each pair of parities (row,
column): mirroring inverts whole words, but for few bits (``descriptors.pdq.turned_hashes``).

A word has four lanes of 16 bits. In each lane, the bits of even positions are of the last eight
rows, the lowest frequencies; those of odd positions are of the first eight.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

WORD: Final = np.dtype("<u8")
COUNT: Final = 4

MIRRORED: Final[Words] = np.array(
    [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]], np.uint64
) * np.uint64(2**64 - 1)
"""What the ways to mirror a picture invert: nothing, every second column, row, and both."""

_AT_ONCE: Final = 32768
_EVERY_SECOND: Final = np.uint64(0xAAAA_AAAA_AAAA_AAAA)
_EVEN_LANES: Final = np.uint64(0x0000_FFFF_0000_FFFF)
_1, _15, _16 = np.uint64(1), np.uint64(15), np.uint64(16)


def arranged(hashes: NDArray[np.uint8]) -> Words:
    """Return the words of n hashes, shape (n, 32), as shape (4, n)."""
    found = np.empty((COUNT, len(hashes)), WORD)
    plain = np.ascontiguousarray(hashes).view(WORD)
    for start in range(0, len(hashes), _AT_ONCE):
        first, second, third, fourth = np.ascontiguousarray(plain[start : start + _AT_ONCE].T)
        mask = _EVERY_SECOND & _EVEN_LANES
        for number, word in enumerate(found[:, start : start + _AT_ONCE]):
            down, across = _16 * np.uint64(number // 2), np.uint64(number % 2)
            word[:] = third >> down << across & mask
            word |= (fourth >> down << across & mask) << _16
            word |= (first >> down << across & mask) >> _1
            word |= (second >> down << across & mask) << _15
    return found


def plain(words: Words) -> NDArray[np.uint8]:
    """Return the hashes again: shape (n, 32)."""
    rows = []
    for even, odd in (low_rows(words << _1), low_rows(words)):
        rows.append(even & _EVEN_LANES | (odd & _EVEN_LANES) << _16)
        rows.append(even >> _16 & _EVEN_LANES | odd & ~_EVEN_LANES)
    return np.stack(rows, axis=1).view(np.uint8)


def low_rows(words: Words) -> Words:
    """Return the last eight rows of each hash, one in each lane: shape (2, n)."""
    return words[::2] & _EVERY_SECOND | (words[1::2] & _EVERY_SECOND) >> _1
