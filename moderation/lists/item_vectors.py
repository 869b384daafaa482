"""The vectors of items, as one matrix in the memory of each process, for exact comparison.

Each call asks the database which items are active, so every change applies at once in every
process. Only the vectors are cached. The vectors of a row never change; a row is identified by its
id and the transaction that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from gallery.shared.binary_copy import BIGINT, halfvec, read_rows
from moderation.lists.models import BannedItem

Floats = NDArray[np.float32]


NO_TIME: Final = -1
"""``time_ms`` of a fingerprint that does not belong to a video."""

_COLUMNS: Final = dict.fromkeys(("id", "item", "time_ms", "tx"), BIGINT)
_ROW: Final = np.dtype([(name, np.int64) for name in _COLUMNS])
_AT_ONCE: Final = 5000
"""Vectors that one query reads: 5 MB."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """The fingerprints of the items that are matched now, ordered by id.

    ``rows``: fingerprint ``id``, ``item``, ``time_ms`` or ``NO_TIME``, ``tx``. ``vectors``:
    float32, shape (n, d), unit length.
    """

    rows: NDArray[np.void]
    vectors: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def named(self, at: int) -> tuple[int, int, int | None]:
        """Return the fingerprint's id, its item's id, and its time in the item's video."""
        pk, item, time_ms, _ = self.rows[at].tolist()
        return pk, item, None if time_ms == NO_TIME else time_ms

    def distances(self, queries: Sequence[NDArray[np.floating]]) -> Floats:
        """Return cosine distances, shape (n, queries).

        Queries are rounded to float16, as the database stores vectors.
        """
        if not (len(self) and len(queries)):
            return np.empty((len(self), len(queries)), np.float32)
        return np.asarray(1.0 - self.vectors @ unit(np.stack(queries).astype(np.float16)).T)


_kept: dict[tuple[str, str, str], Pictures] = {}


def matching(column: str, version: str, lists: Sequence[int]) -> Pictures:
    """Return the fingerprints of matched items of these lists that have a vector in ``column``.

    ``column``: cnn or clip. Takes 2 KB of memory for each fingerprint.
    """
    key = str(connection.settings_dict["NAME"]), column, version
    rows = _live(column, version, lists)
    known = _kept.get(key, Pictures(rows[:0], np.empty((0, 0), np.float32)))
    if not np.array_equal(known.rows, rows):
        # A new array that never changes, so threads may share it.
        known = _kept[key] = _renewed(known, rows, column)
    return known


def pictures_sql(lists: Iterable[int]) -> str:
    """Return the SQL that selects the fingerprints ``f`` of the matched items of these lists."""
    # No list has the id 0. It is added because Django makes no SQL for an empty list.
    items = BannedItem.objects.matching().filter(list__in=[*lists, 0]).order_by().values("pk")
    with connection.cursor() as cursor:
        ids = cursor.mogrify(*items.query.sql_with_params()).decode().replace("%", "%%")
    return f"FROM moderation_bannedfingerprint f WHERE f.item_id IN ({ids})"


def as_array(vector: Any) -> NDArray[np.float32]:
    """Convert a stored vector, which is a list or a pgvector object."""
    values = vector.to_numpy() if hasattr(vector, "to_numpy") else vector
    return np.asarray(values, np.float32)


def unit(vectors: NDArray[Any]) -> Floats:
    wide = np.asarray(vectors, np.float32)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.asarray(wide / np.maximum(length, 1e-12), np.float32)


def _live(column: str, version: str, lists: Sequence[int]) -> NDArray[np.void]:
    found = read_rows(
        f"SELECT f.id, f.item_id, coalesce(f.time_ms, {NO_TIME})::bigint, f.xmin::text::bigint "
        f"{pictures_sql(lists)} AND f.{column} IS NOT NULL AND f.version = %(version)s "
        "ORDER BY f.id",
        {"version": version},
        _COLUMNS,
    )
    rows = np.empty(len(found), _ROW)
    for name in _COLUMNS:
        rows[name] = found[name]
    return rows


def _renewed(known: Pictures, rows: NDArray[np.void], column: str) -> Pictures:
    at = np.searchsorted(known.rows["id"], rows["id"])
    same = at < len(known)
    same[same] = known.rows[at[same]] == rows[same]
    ids, fresh = _read(column, rows["id"][~same])
    # Rows that were deleted meanwhile have no vector.
    there = same | np.isin(rows["id"], ids)
    rows, same, at = rows[there], same[there], at[there]
    size = max(known.vectors.shape[1], fresh.shape[1])
    vectors = np.empty((len(rows), size), np.float32)
    if same.any():
        vectors[same] = known.vectors[at[same]]
    if len(fresh):
        vectors[~same] = fresh
    return Pictures(rows, vectors)


def _read(column: str, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    numbers, vectors = [np.empty(0, np.int64)], []
    for start in range(0, len(ids), _AT_ONCE):
        params = {"ids": ids[start : start + _AT_ONCE].tolist()}
        where = (
            f"FROM moderation_bannedfingerprint WHERE id = ANY(%(ids)s) AND {column} IS NOT NULL"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT vector_dims({column}) {where} LIMIT 1", params)
            dimensions = cursor.fetchone()
        if dimensions is None:
            continue
        rows = read_rows(
            f"SELECT id, {column} {where} ORDER BY id",
            params,
            {"id": BIGINT, "vector": halfvec(dimensions[0])},
        )
        numbers.append(rows["id"].astype(np.int64))
        vectors.append(unit(rows["vector"]["values"]))
    return np.concatenate(numbers), np.concatenate(vectors or [np.empty((0, 0), np.float32)])
