"""Find every stored PDQ hash near to some queries, in this machine's index file and in newer rows.

The file (``hash_index``) has the rows of all transactions below its watermark: the oldest
transaction that was still running when the file was built. This process keeps newer rows in memory
once their transaction has ended. It reads the rows of running transactions for each query. So no
row is missed, even if its transaction took long, or if the file is missing or damaged. Callers
check hits against the current rows.

A file belongs to one database. ``refresh`` rewrites it in a worker. On a machine without a worker,
each process keeps all hashes in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import connection
from django_q.tasks import async_task
from numpy.typing import NDArray

from gallery.shared.binary_copy import BIGINT, read_rows
from moderation.lists import hash_index
from moderation.lists.hash_index import HIT, Hashes, HashIndex, HashIndexUnusable, Hits, Items

REFRESH_ROWS = 5000
"""The file is rewritten when more rows than this are missing from it."""

LOOK_EVERY = 60.0
"""Seconds between two checks by a process whether a refresh is due."""

_COLUMNS = {"id": BIGINT, "hash": np.dtype(("u1", hash_index.BYTES)), "tx": BIGINT}

_FROM = f"FROM moderation_bannedhash WHERE kind = 'pdq' AND length(value) = {2 * hash_index.BYTES}"

logger = logging.getLogger(__name__)


Identity = tuple[int, int] | None
"""Device and inode of a file; None if there is no file."""


@dataclass(frozen=True)
class _Settled:
    """A file, and the rows that it lacks from ended transactions, those below ``until``.

    If ``index`` is None, the file with this ``identity`` is missing or unusable, and all rows below
    ``until`` are in ``items`` and ``hashes``.
    """

    identity: Identity
    index: HashIndex | None
    until: int
    items: Items
    hashes: Hashes

    def __len__(self) -> int:
        return len(self.items)

    @property
    def unusable(self) -> bool:
        return self.index is None and self.identity is not None


_lock = threading.Lock()
_kept: dict[Path, _Settled] = {}
_paths: dict[str, Path] = {}
_next_look = 0.0


def near(queries: Sequence[bytes], threshold: int) -> Hits:
    """Return hits for the ``BannedHash`` rows at most ``threshold`` from a query.

    The ``item`` of a hit is the row's id. The result may include deleted rows.
    """
    settled, items, hashes = _current()
    found = [
        hash_index.scan(settled.items, settled.hashes, queries, threshold),
        hash_index.scan(items, hashes, queries, threshold),
    ]
    if settled.index is not None:
        found.append(settled.index.search(queries, threshold))
    return np.concatenate([np.empty(0, HIT), *found])


def likely(queries: Sequence[bytes], threshold: int) -> tuple[Items, Hashes]:
    """Return ids and hashes of most rows at most ``threshold`` from any of many queries.

    See ``HashIndex.likely``. The result may include deleted rows.
    """
    settled, items, hashes = _current()
    items = np.concatenate([settled.items, items])
    hashes = np.concatenate([settled.hashes, hashes])
    found = [hash_index.scan_likely(items, hashes, queries, threshold)]
    if settled.index is not None:
        found.append(settled.index.likely(queries, threshold))
    ids, rows = zip(*found, strict=True)
    return np.concatenate(ids), np.concatenate(rows)


def is_due() -> bool:
    """Return whether the file is damaged or lacks many rows."""
    settled, items, _ = _current()
    return settled.unusable or len(settled) + len(items) > REFRESH_ROWS


def ask_if_due() -> None:
    """Queue a refresh, in the current transaction, if one is due."""
    global _next_look
    if time.monotonic() < _next_look:
        return
    _next_look = time.monotonic() + LOOK_EVERY
    if is_due():
        async_task("moderation.tasks.refresh_hash_index")


def refresh(*, always: bool = False) -> int:
    """Rewrite this machine's file if it lacks many rows or differs from the database.

    Deleted and restored rows are noticed because the number of rows differs. No file is written for
    few rows. Returns the number of rows in the file.
    """
    settled = _current()[0]
    if not always and not settled.unusable and len(settled) <= REFRESH_ROWS:
        if settled.index is None:
            return 0
        if _count(settled.index.watermark) == len(settled.index):
            return len(settled.index)
    watermark, _ = _bounds()
    # The rows are complete: all of these transactions had ended when the watermark was read.
    rows = _rows(f"tx < {watermark}")
    hashes = np.ascontiguousarray(rows["hash"])
    hash_index.build(path(), rows["id"].astype(np.int64), hashes, watermark=watermark)
    return len(rows)


def path() -> Path:
    name = str(connection.settings_dict["NAME"])
    if name not in _paths:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT system_identifier, (SELECT oid FROM pg_database "
                "WHERE datname = current_database()) FROM pg_control_system()"
            )
            system, database = cursor.fetchone()
        _paths[name] = settings.DATA_DIR / "hashes" / f"{system}-{database}.pdq"
    return _paths[name]


def _current() -> tuple[_Settled, Items, Hashes]:
    running, next_one = _bounds()
    settled = _usable(_kept.get(path()), next_one)
    rows = _rows(f"tx >= {settled.until}")
    ended = rows["tx"] < running
    if running > settled.until:
        settled = _Settled(
            settled.identity,
            settled.index,
            running,
            np.concatenate([settled.items, rows["id"][ended].astype(np.int64)]),
            np.concatenate([settled.hashes, rows["hash"][ended]]),
        )
        with _lock:
            known = _kept.get(path())
            # Another thread may have stored a newer state.
            if known is None or known.identity != settled.identity or known.until < running:
                _kept[path()] = settled
        rows = rows[~ended]
    return settled, rows["id"].astype(np.int64), np.ascontiguousarray(rows["hash"])


def _usable(known: _Settled | None, next_one: int) -> _Settled:
    """Return ``known`` if it still belongs to this file and database; else open the file again."""
    identity = _identity()
    # The transaction numbers of a restored database restart at an earlier number.
    if known is not None and known.identity == identity and known.until <= next_one:
        return known
    index = None
    if identity is not None:
        try:
            index = HashIndex(path())
        except HashIndexUnusable as error:
            logger.error("%s", error.message)
    if index is not None and index.watermark > next_one:
        logger.error("The index of banned hashes does not belong to this state of the database.")
        index = None
    empty = np.empty(0, np.int64), np.empty((0, hash_index.BYTES), np.uint8)
    return _Settled(identity, index, index.watermark if index else 0, *empty)


def _identity() -> Identity:
    try:
        status = path().stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _bounds() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint "
            "FROM pg_current_snapshot() AS now"
        )
        running, next_one = cursor.fetchone()
    return int(running), int(next_one)


def _count(watermark: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_FROM} AND tx < %s", [watermark])
        (count,) = cursor.fetchone()
    return int(count)


def _rows(condition: str) -> NDArray[np.void]:
    select = f"SELECT id, decode(value, 'hex'), tx {_FROM} AND {condition}"
    return read_rows(select, {}, _COLUMNS)
