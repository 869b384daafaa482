"""An index file of 256-bit hashes that finds all hashes within a Hamming distance of some queries.

Every process maps the file into memory (``index_file``). Rows are pairs of item and hash in any
order. An item may have several hashes, and several items may share a hash.

A search is for a picture in all eight turns. Four turns of it are its mirrored forms, whose hashes
differ from its own by the bits that mirroring inverts, and by few others. As these bits are whole
words (``hash_words``), one pass over the rows bounds the distances to all four from below. A
word that some of the four invert counts the fewer of its equal and its differing bits. Rows
that may be near are measured. Two words decide for most rows at distance 31, three at 52, so eight
turns cost as much as one or two hashes compared bit by bit, for any data. NumPy lets other threads
run while it counts. Multi-index hashing (16 bands of 16 bits) took as long at distance 31, but
three times as long at 52, and 68 bytes more for each hash than the 40 here.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import UserError
from moderation.lists import hash_words, index_file
from moderation.lists.hash_words import Words
from moderation.lists.index_file import IndexFile

BITS = 256
BYTES = BITS // 8

HIT = np.dtype([("item", np.int64), ("query", np.int32), ("distance", np.int16)], align=True)
"""A row within the threshold: its item, the query's position in the given list, the distance."""

_ITEM = np.dtype("<i8")
_HASH = np.dtype((hash_words.WORD, (hash_words.COUNT,)))
_MAGIC = b"HAMMING2"

_CHUNK = 32768
"""Rows at a time, so that the rows, their differences and counts stay in a core's cache."""

_GROUP = 40
"""Distance in bits within which queries are grouped, mirrored or not. Few hashes of a list are
within 40 + 52 bits of an unrelated one."""

_FEW = 16
"""The other words of rows are no longer counted once this part of them, or less, may be near."""

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
        self.items, hashes = self.columns
        # Each word of all hashes, one after the other.
        self.words: Words = hashes.reshape(hash_words.COUNT, len(self))

    def search(self, queries: Sequence[bytes], threshold: int) -> Hits:
        """Return every row at most ``threshold`` (0 to 256) from a query of 32 bytes.

        The result is an array of ``HIT``, ordered by distance, item and query, with one hit for
        each query that a row is near to. Raises ``InvalidHashes`` and ``InvalidThreshold``.
        """
        return _near(self.items, self.words, queries, threshold)

    def likely(self, queries: Sequence[bytes], threshold: int) -> tuple[Items, Hashes]:
        """Return items and hashes of most rows within ``threshold`` of any query, each once."""
        return _likely(self.items, self.words, queries, threshold)


def build(
    path: Path,
    items: Items,
    hashes: Hashes,
    *,
    watermark: int,
    older: HashIndex | None = None,
) -> None:
    """Write the index of n items, shape (n,), and hashes, shape (n, 32), and of all of ``older``.

    See ``index_file.write``. Raises ``InvalidHashes`` and ``OSError``.
    """
    words = _columns(items, hashes)
    if older is not None:
        items = np.concatenate([older.items, items])
        words = np.concatenate([older.words, words], axis=1)
    column = words.reshape(len(items), hash_words.COUNT)
    index_file.write(path, _MAGIC, (items.astype(_ITEM, copy=False), column), watermark=watermark)


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


def _near(items: Items, columns: Words, queries: Sequence[bytes], threshold: int) -> Hits:
    _check(threshold)
    words = hash_words.arranged(pack(queries))
    groups = _groups(words, threshold)
    scratch = _Scratch(min(_CHUNK, len(items)))
    found = [np.empty(0, HIT)]
    for start in range(0, len(items), _CHUNK):
        chunk = columns[:, start : start + _CHUNK]
        for group in groups:
            rows = group.candidates(chunk, scratch)
            if not rows.size:
                continue
            near = chunk[:, rows]
            for number in group.members:
                distances = _distances(near, words[:, number, np.newaxis])
                within = np.flatnonzero(distances <= threshold)
                hits = np.empty(within.size, HIT)
                hits["item"] = items[start + rows[within]]
                hits["query"] = number
                hits["distance"] = distances[within]
                found.append(hits)
    hits = np.concatenate(found)
    return hits[np.lexsort((hits["query"], hits["item"], hits["distance"]))]


def _likely(
    items: Items, columns: Words, queries: Sequence[bytes], threshold: int
) -> tuple[Items, Hashes]:
    _check(threshold)
    rows = _likely_rows(columns, pack(queries), threshold)
    return items[rows], hash_words.plain(columns[:, rows])


def _check(threshold: int) -> None:
    if not 0 <= threshold <= BITS:
        raise InvalidThreshold(f"Give a threshold of 0 to {BITS}.", field="threshold")


def _distances(some: Words, others: Words) -> NDArray[np.int16]:
    return np.asarray(np.bitwise_count(some ^ others).sum(axis=0, dtype=np.int16))


class _Scratch:
    """Arrays for intermediate results of a chunk of rows, in a core's cache."""

    def __init__(self, rows: int) -> None:
        self.differing = np.empty(rows, np.uint64)
        self.counts, self.others, self.total = np.empty((3, rows), np.uint8)


@dataclass(frozen=True, eq=False)
class _Group:
    """Queries that are near to one of them, the centre, or to a mirrored form of it.

    ``inverted``: for each word, whether it is inverted for some query. ``reach``: the distance from
    a form of the centre within which a row may be near to a query (triangle inequality).
    """

    centre: Words
    inverted: Sequence[bool]
    reach: int
    members: Sequence[int]

    def candidates(self, chunk: Words, scratch: _Scratch) -> NDArray[np.intp]:
        """Return the positions of rows that may be near to a query of the group."""
        width = chunk.shape[1]
        differing, total = scratch.differing[:width], scratch.total[:width]
        counts, others = scratch.counts[:width], scratch.others[:width]
        total[:] = 0
        for number, word in enumerate(chunk):
            np.bitwise_xor(word, self.centre[number], out=differing)
            np.bitwise_count(differing, out=counts)
            if self.inverted[number]:
                np.subtract(64, counts, out=others)
                np.minimum(counts, others, out=counts)
            # 256, where all bits differ, becomes 0: a candidate more.
            np.add(total, counts, out=total)
            if number == 0:
                continue
            near = total <= self.reach
            if np.count_nonzero(near) * _FEW <= width:
                break
        return np.flatnonzero(near)


def _groups(words: Words, threshold: int) -> list[_Group]:
    """Group queries, shape (4, m), that are near to each other or to mirrored forms."""
    forms = words.T[:, np.newaxis] ^ hash_words.MIRRORED
    # Shape (m, forms, m): from each form of each query to each query.
    apart = np.bitwise_count(forms[:, :, np.newaxis] ^ words.T).sum(axis=3, dtype=np.int16)
    nearest, form = apart.min(axis=1), apart.argmin(axis=1)
    near = nearest <= _GROUP
    left = np.ones(words.shape[1], bool)
    found = []
    while left.any():
        centre = int(np.argmax((near & left).sum(axis=1) * left))
        members = np.flatnonzero(near[centre] & left)
        left[members] = False
        inverted = hash_words.MIRRORED[form[centre, members]].any(axis=0)
        reach = int(nearest[centre, members].max()) + threshold
        found.append(_Group(words[:, centre], inverted.tolist(), reach, members.tolist()))
    return found


def _columns(items: Items, hashes: Hashes) -> Words:
    if hashes.dtype != np.uint8 or items.dtype != np.int64 or items.ndim != 1:
        raise InvalidHashes("Give hashes as an array of uint8 and items as one of int64.")
    if hashes.shape != (len(items), BYTES):
        raise InvalidHashes(f"Give one hash of {BYTES} bytes for each item.", field="hash")
    return hash_words.arranged(hashes)


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


def _likely_rows(columns: Words, queries: Hashes, threshold: int) -> NDArray[np.intp]:
    """Return the positions of hashes at most ``threshold`` from a query, ascending, each once.

    ``columns``: shape (4, n) words. ``queries``: shape (m, 32) bytes.
    """
    found = [np.empty(0, np.intp)]
    for first in range(0, len(queries), AT_ONCE):
        asked = hash_words.arranged(queries[first : first + AT_ONCE])
        tables = _tables(_bands(asked))
        for start in range(0, columns.shape[1], CHUNK):
            chunk = columns[:, start : start + CHUNK]
            masks = _agreeing_twice(_bands(chunk), tables)
            seen = np.flatnonzero(masks)
            bits = np.unpackbits(masks[seen].view(np.uint8).reshape(-1, 8), 1, bitorder="little")
            row, query = np.nonzero(bits)
            distances = _distances(chunk[:, seen[row]], asked[:, query])
            found.append(seen[row[distances <= threshold]] + start)
    return np.unique(np.concatenate(found))


def _bands(words: Words) -> NDArray[np.uint16]:
    """Return the last eight bands of hashes, shape (8, n)."""
    lanes = hash_words.low_rows(words).view(_BAND)
    return np.moveaxis(lanes.reshape(len(lanes), -1, BANDS // len(lanes)), 1, 2).reshape(BANDS, -1)


def _tables(bands: NDArray[np.uint16]) -> Words:
    """Return a word for each band and each of its values: the bits of the queries near to it."""
    bits = np.repeat(np.uint64(1) << np.arange(bands.shape[1], dtype=np.uint64), len(_NEAR))
    tables = np.zeros((BANDS, 2**16), np.uint64)
    for table, band in zip(tables, bands, strict=True):
        np.bitwise_or.at(table, (band[:, np.newaxis] ^ _NEAR).ravel(), bits)
    return tables


def _agreeing_twice(bands: NDArray[np.uint16], tables: Words) -> Words:
    """Return for each row a word whose bits are the queries near in at least two bands."""
    once, twice, agreeing = np.zeros((3, bands.shape[1]), np.uint64)
    for table, band in zip(tables, bands, strict=True):
        np.take(table, band, out=agreeing, mode="clip")
        twice |= once & agreeing
        once |= agreeing
    return twice
