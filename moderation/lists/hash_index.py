"""An index file of 256-bit hashes that finds all hashes within a Hamming distance of some queries.

Every process maps the file into memory (``index_file``). Rows are pairs of item and hash in any
order. An item may have several hashes, and several items may share a hash.

A search counts the differing bits of every row. So it costs the same for any threshold and any
data: 25 ms of one core for eight queries in 1,000,000 hashes. Multi-index hashing (16 bands of 16
bits) took 6 ms at distance 31, but 29 ms at 47 and 66 ms at 52, and 68 MB more than the 40 MB here.
Skipping rows by their first half saved 11 ms at 31, but 3 ms at 52. NumPy lets other threads run
while it counts.

``likely`` is for many queries and misses some rows: one pass for 64 of them takes 29 ms of one core
for 1,000,000 hashes. A hash has sixteen bands of 16 bits. A row is found if it differs from a query
by at most two bits in at least two of the last eight bands. These bands hold the lowest frequencies
of one axis, which edits change least. A table for each band says which queries are near to each of
its 65,536 values, one bit per query. At most 1.0 % of the copies with enough evidence for an edit
are missed, and 3.2 % of those turned by 10° (docs/reliability.md).

Callers check hits against the database rows, and pass rows newer than ``watermark`` to ``scan``.
This module uses neither Django nor the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import UserError
from moderation.lists import index_file
from moderation.lists.index_file import IndexFile

BITS = 256
BYTES = BITS // 8

HIT = np.dtype([("item", np.int64), ("query", np.int32), ("distance", np.int16)], align=True)
"""A row within the threshold: its item, the query's position in the given list, the distance."""

_WORD = np.dtype("<u8")
_ITEM = np.dtype("<i8")
_WORDS = BYTES // _WORD.itemsize
_HASH = np.dtype((_WORD, (_WORDS,)))
_MAGIC = b"HAMMING\n"

_CHUNK = 32768
"""Rows at a time, so that the rows, their differences and counts stay in a core's cache."""

_GROUP = 60
"""Distance in bits within which queries are grouped. One pass over all rows finds those that may be
near to any query of a group. Few hashes of a list are within 60 + 45 bits of an unrelated one.
"""

Hashes = NDArray[np.uint8]
Items = NDArray[np.int64]
Hits = NDArray[np.void]


class InvalidHashes(UserError):
    code = "invalid_hashes"


class InvalidThreshold(UserError):
    code = "invalid_threshold"


class HashIndex(IndexFile):
    """The hashes that were in the file when it was opened."""

    def __init__(self, path: Path) -> None:
        """Open the file and verify all of it. Raises ``IndexUnusable``."""
        super().__init__(path, _MAGIC, (_ITEM, _HASH))
        self._items, hashes = self.columns
        # Each word of all hashes, one after the other.
        self._words = hashes.reshape(_WORDS, len(self))

    def search(self, queries: Sequence[bytes], threshold: int) -> Hits:
        """Return every row at most ``threshold`` (0 to 256) from a query of 32 bytes.

        The result is an array of ``HIT``, ordered by distance, item and query, with one hit for
        each query that a row is near to. Raises ``InvalidHashes`` and ``InvalidThreshold``.
        """
        return _near(self._items, self._words, queries, threshold)

    def likely(self, queries: Sequence[bytes], threshold: int) -> tuple[Items, Hashes]:
        """Return items and hashes of most rows within ``threshold`` of any query, each once."""
        return _likely(self._items, self._words, queries, threshold)


def build(path: Path, items: Items, hashes: Hashes, *, watermark: int) -> None:
    """Write the index of n items, shape (n,), and hashes, shape (n, 32); see ``index_file.write``.

    Raises ``InvalidHashes`` and ``OSError``.
    """
    words = np.ascontiguousarray(_columns(items, hashes), _WORD).reshape(len(items), _WORDS)
    index_file.write(path, _MAGIC, (items.astype(_ITEM), words), watermark=watermark)


def scan(items: Items, hashes: Hashes, queries: Sequence[bytes], threshold: int) -> Hits:
    """Do the same as ``HashIndex.search`` for a short list in memory: shapes (n,) and (n, 32)."""
    return _near(items, _columns(items, hashes), queries, threshold)


def scan_likely(
    items: Items, hashes: Hashes, queries: Sequence[bytes], threshold: int
) -> tuple[Items, Hashes]:
    """Do the same as ``HashIndex.likely`` for a short list in memory: shapes (n,) and (n, 32)."""
    return _likely(items, _columns(items, hashes), queries, threshold)


def pack(hashes: Iterable[bytes]) -> Hashes:
    """Return hashes of 32 bytes as an array of shape (n, 32). Raises ``InvalidHashes``."""
    rows = list(hashes)
    if any(len(row) != BYTES for row in rows):
        raise InvalidHashes(f"Give each hash as {BYTES} bytes ({BITS} bits).", field="hash")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, BYTES)


def _near(
    items: Items, columns: NDArray[np.uint64], queries: Sequence[bytes], threshold: int
) -> Hits:
    _check(threshold)
    words = pack(queries).view(_WORD)[:, :, np.newaxis]
    groups = _groups(words[:, :, 0], threshold)
    size = min(_CHUNK, len(items))
    scratch = np.empty((_WORDS, size), np.uint64), np.empty((_WORDS, size), np.uint8)
    found = [np.empty(0, HIT)]
    for start in range(0, len(items), _CHUNK):
        chunk = columns[:, start : start + _CHUNK]
        for centre, reach, members in groups:
            distances = _distances(chunk, words[centre], scratch)
            rows = np.flatnonzero(distances <= reach)
            if not rows.size:
                continue
            near = chunk[:, rows] if len(members) > 1 else chunk
            for number in members:
                if number == centre:
                    some, measured = rows, distances[rows]
                else:
                    some, measured = rows, _distances(near, words[number], scratch)
                within = np.flatnonzero(measured <= threshold)
                hits = np.empty(within.size, HIT)
                hits["item"] = items[start + some[within]]
                hits["query"] = number
                hits["distance"] = measured[within]
                found.append(hits)
    hits = np.concatenate(found)
    return hits[np.lexsort((hits["query"], hits["item"], hits["distance"]))]


def _likely(
    items: Items, columns: NDArray[np.uint64], queries: Sequence[bytes], threshold: int
) -> tuple[Items, Hashes]:
    _check(threshold)
    rows = _likely_rows(columns, pack(queries), threshold)
    return items[rows], np.ascontiguousarray(columns[:, rows].T).view(np.uint8)


def _check(threshold: int) -> None:
    if not 0 <= threshold <= BITS:
        raise InvalidThreshold(f"Give a threshold of 0 to {BITS}.", field="threshold")


def _distances(
    columns: NDArray[np.uint64],
    query: NDArray[np.uint64],
    scratch: tuple[NDArray[np.uint64], NDArray[np.uint8]],
) -> NDArray[np.int16]:
    width = columns.shape[1]
    differing, counts = (array[:, :width] for array in scratch)
    np.bitwise_xor(columns, query, out=differing)
    np.bitwise_count(differing, out=counts)
    return np.asarray(counts.sum(axis=0, dtype=np.int16))


def _groups(words: NDArray[np.uint64], threshold: int) -> list[tuple[int, int, list[int]]]:
    """Group queries that are near to each other.

    Returns for each group the central query, the distance from it within which a row may be near to
    any query of the group (triangle inequality), and all its queries.
    """
    apart = np.bitwise_count(words[:, np.newaxis] ^ words[np.newaxis]).sum(axis=2, dtype=np.int16)
    near = apart <= _GROUP
    left = np.ones(len(words), bool)
    found = []
    while left.any():
        centre = int(np.argmax((near & left).sum(axis=1) * left))
        members = np.flatnonzero(near[centre] & left)
        left[members] = False
        reach = int(apart[centre, members].max()) + threshold
        found.append((centre, reach, members.tolist()))
    return found


def _columns(items: Items, hashes: Hashes) -> NDArray[np.uint64]:
    if hashes.dtype != np.uint8 or items.dtype != np.int64 or items.ndim != 1:
        raise InvalidHashes("Give hashes as an array of uint8 and items as one of int64.")
    if hashes.shape != (len(items), BYTES):
        raise InvalidHashes(f"Give one hash of {BYTES} bytes for each item.", field="hash")
    return np.ascontiguousarray(hashes).view(_WORD).T


BANDS: Final = 8
"""Number of bands that are compared: the last ones of the sixteen."""

OVERLOOKED: Final = 2
"""Bits that may differ within a band."""

AT_ONCE: Final = 64
"""Queries that share one pass over all rows: the bits of a word."""

CHUNK: Final = 32768
"""Rows at a time, so that their intermediate results stay in a core's cache."""

_BAND = np.dtype("<u2")
_NEAR = np.flatnonzero(np.bitwise_count(np.arange(2**16)) <= OVERLOOKED).astype(_BAND)

Words = NDArray[np.uint64]


def _likely_rows(columns: Words, queries: NDArray[np.uint8], threshold: int) -> NDArray[np.intp]:
    """Return the positions of hashes at most ``threshold`` from a query, ascending, each once.

    ``columns``: shape (4, n) words. ``queries``: shape (m, 32) bytes.
    """
    found = [np.empty(0, np.intp)]
    count = columns.shape[1]
    half = np.ascontiguousarray(columns[len(columns) // 2 :])
    bands = half.view(_BAND).reshape(len(half), count, BANDS // len(half))
    for first in range(0, len(queries), AT_ONCE):
        asked = queries[first : first + AT_ONCE]
        words, tables = asked.view(columns.dtype), _tables(asked)
        for start in range(0, count, CHUNK):
            masks = _agreeing_twice(bands[:, start : start + CHUNK], tables)
            seen = np.flatnonzero(masks)
            bits = np.unpackbits(masks[seen].view(np.uint8).reshape(-1, 8), 1, bitorder="little")
            row, query = np.nonzero(bits)
            at = seen[row] + start
            distances = np.bitwise_count(columns[:, at] ^ words[query].T).sum(0, dtype=np.int16)
            found.append(at[distances <= threshold])
    return np.unique(np.concatenate(found))


def _tables(asked: NDArray[np.uint8]) -> Words:
    """Return a word for each band and each of its values: the bits of the queries near to it."""
    codes = asked.view(_BAND)[:, -BANDS:]
    bits = np.repeat(np.uint64(1) << np.arange(len(asked), dtype=np.uint64), len(_NEAR))
    tables = np.zeros((BANDS, 2**16), np.uint64)
    for table, band in zip(tables, codes.T, strict=True):
        np.bitwise_or.at(table, (band[:, np.newaxis] ^ _NEAR).ravel(), bits)
    return tables


def _agreeing_twice(bands: NDArray[np.uint16], tables: Words) -> Words:
    """Return for each row a word whose bits are the queries near in at least two bands.

    ``bands``: shape (words, rows, bands of a word).
    """
    once, twice, agreeing = np.zeros((3, bands.shape[1]), np.uint64)
    for table, band in zip(tables, np.moveaxis(bands, 1, 2).reshape(-1, len(once)), strict=True):
        np.take(table, band, out=agreeing, mode="clip")
        twice |= once & agreeing
        once |= agreeing
    return twice
