"""Find every stored PDQ hash near to some queries, in this machine's index file and in newer rows.

Callers check hits against the current rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from django.db import connection

from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.shared.binary_copy import BIGINT, read_rows
from moderation.lists import hash_index
from moderation.lists.hash_index import HIT, Hashes, HashIndex, Hits, Items
from moderation.lists.models import BannedItem
from moderation.lists.shared_rows import Rows, SharedRows

_COLUMNS: Final = {"id": BIGINT, "hash": np.dtype(("u1", hash_index.BYTES)), "tx": BIGINT}
_ROW: Final = np.dtype(
    [("id", np.int64), ("hash", np.uint8, (hash_index.BYTES,)), ("tx", np.int64)]
)

_FROM: Final = (
    f"FROM moderation_bannedhash WHERE kind = 'pdq' AND length(value) = {2 * hash_index.BYTES}"
)


class _Hashes(SharedRows[HashIndex]):
    def open(self, path: Path) -> HashIndex:
        return HashIndex(path)

    def write(
        self, path: Path, rows: Rows, *, watermark: int, older: HashIndex | None = None
    ) -> None:
        hash_index.build(path, *_items_and_hashes(rows), watermark=watermark, older=older)

    def read(self, condition: str) -> Rows:
        select = f"SELECT id, decode(value, 'hex'), tx {_FROM} AND {condition}"
        found = read_rows(select, {}, _COLUMNS)
        rows = np.empty(len(found), _ROW)
        for name in _COLUMNS:
            rows[name] = found[name]
        return rows

    def count(self, condition: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) {_FROM} AND {condition}")
            (count,) = cursor.fetchone()
        return int(count)


rows: Final = _Hashes("pdq", most_newer=5000)


def near(queries: Sequence[bytes], threshold: int) -> Hits:
    """Return hits for the ``BannedHash`` rows at most ``threshold`` from a query.

    The ``item`` of a hit is the row's id. The result may include deleted rows.
    """
    settled, running = rows.current()
    found = [
        hash_index.scan(*_items_and_hashes(some), queries, threshold)
        for some in (settled.rows, running)
    ]
    if settled.index is not None:
        found.append(settled.index.search(queries, threshold))
    return np.concatenate([np.empty(0, HIT), *found])


def likely(queries: Sequence[bytes], threshold: int) -> tuple[Items, Hashes]:
    """Return ids and hashes of most rows at most ``threshold`` from any of many queries.

    See ``HashIndex.likely``. The result may include deleted rows.
    """
    settled, running = rows.current()
    newer = np.concatenate([settled.rows, running])
    found = [hash_index.scan_likely(*_items_and_hashes(newer), queries, threshold)]
    if settled.index is not None:
        found.append(settled.index.likely(queries, threshold))
    ids, hashes = zip(*found, strict=True)
    return np.concatenate(ids), np.concatenate(hashes)


_VIDEO: Final = 8
_AT_ONCE: Final = 10_000
_SELECT: Final = """
    SELECT h.id, i.id, i.list_id, (%(video)s * (i.media = 'video')::int
        + 4 * (i.suspended_at IS NOT NULL)::int + 2 * (i.opinion = 'disputed')::int
        + (coalesce(h.quality, 100) >= %(low)s)::int)::bigint, decode(h.value, 'hex')
    FROM moderation_bannedhash h JOIN moderation_banneditem i ON i.id = h.item_id
    WHERE h.id = ANY(%(ids)s::bigint[]) AND i.id IN
"""

_MATCHED: Final = {
    **dict.fromkeys(("id", "item", "list", "kind"), BIGINT),
    "hash": _COLUMNS["hash"],
}
_MATCHED_ROW: Final = np.dtype(
    [*_ROW.descr[:2], *((name, np.int64) for name in ("item", "list", "kind")), ("is_video", bool)]
)


def matched(ids: Items, lists: Iterable[int]) -> Rows:
    """Return those of the hashes whose items are matched and are on one of the lists, by id.

    Fields: ``id``, ``item``, ``list``, ``hash``, ``is_video``, and ``kind``, which is equal for
    hashes of which a verdict depends on the distance alone.
    """
    matching = BannedItem.objects.matching_sql(lists)
    wanted = np.unique(ids)
    parts = []
    for start in range(0, len(wanted), _AT_ONCE):
        # Ten times as fast as a list of Python's numbers.
        some = ",".join(map(str, wanted[start : start + _AT_ONCE].tolist()))
        params = {"ids": f"{{{some}}}", "video": _VIDEO, "low": LOW_QUALITY}
        parts.append(read_rows(f"{_SELECT} ({matching})", params, _MATCHED))
    found = np.concatenate(parts)
    found = found[np.argsort(found["id"])]
    rows = np.empty(len(found), _MATCHED_ROW)
    for name in _MATCHED:
        rows[name] = found[name]
    rows["is_video"] = found["kind"] >= _VIDEO
    return rows


def _items_and_hashes(some: Rows) -> tuple[Items, Hashes]:
    return np.ascontiguousarray(some["id"]), np.ascontiguousarray(some["hash"])
