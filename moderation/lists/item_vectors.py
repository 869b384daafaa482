"""The vectors and local features of items, for comparison with all of them.

Every vector is compared, so none is missed. Features vote for the items that have nearly the same
(``feature_votes``). Both are shared by all processes (``shared_rows``). Whether a row is matched
now is asked of the database for the best ones only, so every change applies at once everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from gallery.imaging import feature_votes
from gallery.imaging.descriptors.base import COPY_VERSION
from gallery.imaging.feature_votes import FeatureVotes
from gallery.imaging.local_features import LocalFeatures, NotLocalFeatures
from gallery.items import versions
from gallery.shared.binary_copy import BIGINT, halfvec, read_rows
from gallery.shared.errors import Unavailable
from moderation.lists import index_file
from moderation.lists.index_file import IndexFile
from moderation.lists.models import BannedItem
from moderation.lists.shared_rows import Rows, SharedRows

Floats = NDArray[np.float32]

NO_TIME: Final = -1
"""``time_ms`` of a fingerprint that does not belong to a video."""

_MAGIC: Final = b"PICTURES"
_COLUMNS: Final = dict.fromkeys(("id", "item", "time_ms", "tx"), BIGINT)
_SELECT: Final = f"SELECT id, item_id, coalesce(time_ms, {NO_TIME})::bigint, tx"
_NUMBERS: Final = np.dtype([(name, np.int64) for name in _COLUMNS])

_AT_ONCE: Final = 500
"""Rows that are read or converted at once: 6 MB of features."""

ASKED_FIRST: Final = 16
"""Rows of which is asked first whether they are matched; then twice as many, and so on."""

SORTED_FIRST: Final = 4096
"""Rows that are sorted first, as few questions need more of them."""


@dataclass(frozen=True, eq=False)
class Part:
    """Fingerprints: ``numbers`` (fingerprint ``id``, ``item``, ``time_ms`` or ``NO_TIME``, ``tx``),
    ``vectors`` (float32 of unit length), ``features``."""

    numbers: NDArray[np.void]
    vectors: Floats
    features: FeatureVotes

    @classmethod
    def of(cls, rows: Rows) -> Part:
        numbers = np.empty(len(rows), _NUMBERS)
        numbers[:] = rows[list(_COLUMNS)]
        return cls(numbers, np.ascontiguousarray(rows["vector"]), FeatureVotes.of(rows))

    def joined(self, later: Part) -> Part:
        return Part(
            np.concatenate([self.numbers, later.numbers]),
            np.concatenate([self.vectors, later.vectors]),
            self.features.joined(later.features),
        )


@dataclass(frozen=True, eq=False)
class Pictures:
    """The fingerprints of items, in parts; some may no longer be matched, see ``matched``.

    Positions count through all parts. ``lists``: whose items are asked for.
    """

    parts: Sequence[Part]
    lists: Sequence[int]
    _live: dict[int, int] = field(default_factory=dict)
    """Fingerprint → transaction that wrote it, 0 if it is not matched; of those asked about."""

    def __len__(self) -> int:
        return sum(len(part.numbers) for part in self.parts)

    def named(self, at: int) -> tuple[int, int, int | None]:
        """Return the fingerprint's id, its item's id, and its time in the item's video."""
        pk, item, time_ms, _ = self._numbers(at)
        return pk, item, None if time_ms == NO_TIME else time_ms

    def distances(self, queries: Sequence[NDArray[np.floating]]) -> Floats:
        """Return cosine distances, shape (n, queries).

        Queries are rounded to float16, as the database stores vectors.
        """
        if not (len(self) and len(queries)):
            return np.empty((len(self), len(queries)), np.float32)
        turned = unit(np.stack(queries).astype(np.float16)).T
        return np.asarray(1.0 - np.concatenate([part.vectors @ turned for part in self.parts]))

    def votes(self, query: LocalFeatures) -> NDArray[np.float64]:
        """Return how strongly the query's features vote for each picture."""
        return np.concatenate([np.empty(0), *(part.features.votes(query) for part in self.parts)])

    def matched(self, positions: Iterable[int]) -> Iterator[int]:
        """Yield those of the positions whose items are matched now and are on the lists."""
        rest, size = iter(positions), ASKED_FIRST
        while some := [at for at, _ in zip(rest, range(size), strict=False)]:
            self._ask(some)
            for at in some:
                pk, _, _, tx = self._numbers(at)
                if self._live[pk] == tx:
                    yield at
            size *= 2

    @cached_property
    def _matched_sql(self) -> str:
        return pictures_sql(self.lists)

    def _numbers(self, at: int) -> tuple[int, int, int, int]:
        for part in self.parts:
            if at < len(part.numbers):
                numbers: tuple[int, int, int, int] = part.numbers[at].item()
                return numbers
            at -= len(part.numbers)
        raise IndexError(at)

    def _ask(self, positions: Sequence[int]) -> None:
        ids = {self._numbers(at)[0] for at in positions} - self._live.keys()
        if not ids:
            return
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT f.id, f.tx {self._matched_sql} AND f.id = ANY(%s)", [list(ids)])
            self._live.update(dict.fromkeys(ids, 0) | dict(cursor.fetchall()))


def best_first(values: NDArray[np.floating]) -> Iterator[int]:
    """Yield positions, that of the greatest value first."""
    if len(values) > SORTED_FIRST:
        split = np.argpartition(-values, SORTED_FIRST)
        parts = [split[:SORTED_FIRST], split[SORTED_FIRST:]]
    else:
        parts = [np.arange(len(values))]
    for part in parts:
        yield from part[np.argsort(-values[part], kind="stable")].tolist()


def all_of(column: str, version: str, lists: Sequence[int]) -> Pictures:
    """Return the fingerprints that have a vector in ``column``: cnn or clip."""
    return Pictures(_rows(column, version).parts(), lists)


def shared() -> list[SharedRows[Any]]:
    """Return the vectors that have an index file."""
    found: list[SharedRows[Any]] = [_rows("cnn", COPY_VERSION)]
    with contextlib.suppress(Unavailable):
        found.append(_rows("clip", versions.searched().version))
    return found


def pictures_sql(lists: Iterable[int]) -> str:
    """Return the SQL that selects the fingerprints ``f`` of the matched items of these lists."""
    items = BannedItem.objects.matching_sql(lists)
    return f"FROM moderation_bannedfingerprint f WHERE f.item_id IN ({items})"


def as_array(vector: Any) -> NDArray[np.float32]:
    """Convert a stored vector, which is a list or a pgvector object."""
    values = vector.to_numpy() if hasattr(vector, "to_numpy") else vector
    return np.asarray(values, np.float32)


def unit(vectors: NDArray[Any]) -> Floats:
    wide = np.asarray(vectors, np.float32)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.asarray(wide / np.maximum(length, 1e-12), np.float32)


class _PictureFile(IndexFile):
    def __init__(self, path: Path, dimensions: int) -> None:
        vector = np.dtype((np.float32, (dimensions,)))
        super().__init__(path, _MAGIC, (_NUMBERS, vector, feature_votes.CODE, feature_votes.PLACE))
        numbers, vectors, codes, places = self.columns
        self.part = Part(numbers, vectors, FeatureVotes(len(self), codes, places))


class _Vectors(SharedRows[_PictureFile]):
    def __init__(self, column: str, version: str) -> None:
        # The name of a model may be no name of a file.
        kind = f"{column}-{hashlib.sha256(version.encode()).hexdigest()[:12]}"
        super().__init__(kind, most_newer=2000)  # 16 MB
        self._column, self._version, self._length = column, version, 0
        self._last: tuple[Rows, Part] | None = None

    def parts(self) -> list[Part]:
        settled, running = self.current()
        found = [settled.index.part] if settled.index else []
        if len(settled):
            if self._last is None or self._last[0] is not settled.rows:
                self._last = settled.rows, Part.of(settled.rows)
            found.append(self._last[1])
        return [*found, Part.of(running)] if len(running) else found

    def open(self, path: Path) -> _PictureFile:
        return _PictureFile(path, self._dimensions())

    def write(
        self, path: Path, rows: Rows, *, watermark: int, older: _PictureFile | None = None
    ) -> None:
        part = Part.of(rows)
        if older is not None:
            part = older.part.joined(part)
        columns = part.numbers, part.vectors, part.features.codes, part.features.places
        index_file.write(path, _MAGIC, columns, watermark=watermark)

    def read(self, condition: str) -> Rows:
        dimensions = self._dimensions()
        found = read_rows(
            f"{_SELECT}, {self._column} {self._from(condition)} ORDER BY id",
            {"version": self._version},
            {**_COLUMNS, "vector": halfvec(dimensions)},
        )
        vector = ("vector", np.float32, (dimensions,))
        rows = np.zeros(len(found), [*_NUMBERS.descr, vector, *feature_votes.FIELDS])
        for name in _COLUMNS:
            rows[name] = found[name]
        for start in range(0, len(found), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            some["vector"] = unit(found["vector"]["values"][start : start + _AT_ONCE])
            if self._column == "cnn":
                _fill_features(some)
        return rows

    def count(self, condition: str) -> int:
        (count,) = self._one(f"SELECT count(*) {self._from(condition)}") or (0,)
        return int(count)

    def _from(self, condition: str) -> str:
        return (
            f"FROM moderation_bannedfingerprint WHERE {self._column} IS NOT NULL "
            f"AND version = %(version)s AND {condition}"
        )

    def _dimensions(self) -> int:
        """Return the length of the vectors; 0 while there are none."""
        if not self._length:
            found = self._one(f"SELECT vector_dims({self._column}) {self._from('true')} LIMIT 1")
            self._length = int(found[0]) if found else 0
        return self._length

    def _one(self, select: str) -> tuple[Any, ...] | None:
        with connection.cursor() as cursor:
            cursor.execute(select, {"version": self._version})
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


@cache
def _rows(column: str, version: str) -> _Vectors:
    return _Vectors(column, version)


def _fill_features(rows: Rows) -> None:
    """``rows``: ordered by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, features FROM moderation_bannedfingerprint "
            "WHERE id = ANY(%s) AND features IS NOT NULL",
            [rows["id"].tolist()],
        )
        for pk, packed in cursor.fetchall():
            row = rows[np.searchsorted(rows["id"], pk)]
            # Those of another program version are compared if the vector is near.
            with contextlib.suppress(NotLocalFeatures):
                feature_votes.fill(row, LocalFeatures.unpack(packed))
