"""Every stored PDQ hash near to some queries: the file of this machine, and what came since.

The file (``hash_index``) holds the rows of transactions below its watermark, which is the oldest
transaction that was still running when it was built: none of them can add a row any more. What
later ones inserted is read into this process's memory as they end, and what may still be running is
read at each question. So nothing is missed, also a row whose transaction took long, or while the
file is absent or damaged; hits are checked by the caller against the rows as they are now.

A file is of one database: rows are told apart by its transactions. ``refresh`` writes it anew; a
worker does that, so that a machine without one keeps the hashes in each process's memory.
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
from moderation.lists.hash_index import (
    HIT,
    Hashes,
    HashIndex,
    HashIndexUnusable,
    Hits,
    Items,
)

TAIL = 5000
"""Rows beyond the file's from which a new one is worth writing."""

LOOK_EVERY = 60.0
"""Seconds between two looks of a process whether the file is due."""

_COLUMNS = {"id": BIGINT, "hash": np.dtype(("u1", hash_index.BYTES)), "tx": BIGINT}

_FROM = f"FROM moderation_bannedhash WHERE kind = 'pdq' AND length(value) = {2 * hash_index.BYTES}"

logger = logging.getLogger(__name__)


Identity = tuple[int, int] | None
"""Device and inode of a file; None where there is none."""


@dataclass(frozen=True)
class _Settled:
    """A file, and the rows it lacks of transactions that have ended: those below ``until``.

    ``index`` None: the file of this ``identity`` is absent or cannot be used, and all rows below
    ``until`` are here.
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
        """Whether there is a file, but none that helps."""
        return self.index is None and self.identity is not None


_lock = threading.Lock()
_kept: dict[Path, _Settled] = {}
_paths: dict[str, Path] = {}
_next_look = 0.0


def near(queries: Sequence[bytes], threshold: int) -> Hits:
    """The rows (``BannedHash``, as ``item`` of each hit) at ``threshold`` or nearer to a query.

    Rows that were deleted may be among them.
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
    """Most rows at ``threshold`` or nearer to any of the queries, and their hashes.

    As ``HashIndex.likely`` says, for many queries at once. Rows that were deleted may be among
    them.
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
    """Whether the file should be written anew: it is damaged, or lacks many rows."""
    settled, items, _ = _current()
    return settled.unusable or len(settled) + len(items) > TAIL


def ask_if_due() -> None:
    """Queue a refresh, in this transaction, if the file is damaged or lacks many rows."""
    global _next_look
    if time.monotonic() < _next_look:
        return
    _next_look = time.monotonic() + LOOK_EVERY
    if is_due():
        async_task("moderation.tasks.refresh_hash_index")


def refresh(*, always: bool = False) -> int:
    """Write this machine's file anew if it lacks many rows, or has others than the database.

    What was deleted, or restored from a backup behind its back, shows in the count. Where there
    are few rows no file is needed. Answers how many rows are in the file.
    """
    settled = _current()[0]
    if not always and not settled.unusable and len(settled) <= TAIL:
        if settled.index is None:
            return 0
        if _count(settled.index.watermark) == len(settled.index):
            return len(settled.index)
    watermark, _ = _bounds()
    # Complete, as all of these transactions had ended when the watermark was read.
    rows = _rows(f"tx < {watermark}")
    hashes = np.ascontiguousarray(rows["hash"])
    hash_index.build(path(), rows["id"].astype(np.int64), hashes, watermark=watermark)
    return len(rows)


def path() -> Path:
    """Where this machine's file for the database is; its name says of which database it is."""
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
    """What is settled by now, and the rows of what may still be running."""
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
            # Another thread may have gone further meanwhile.
            if known is None or known.identity != settled.identity or known.until < running:
                _kept[path()] = settled
        rows = rows[~ended]
    return settled, rows["id"].astype(np.int64), np.ascontiguousarray(rows["hash"])


def _usable(known: _Settled | None, next_one: int) -> _Settled:
    """What is kept if it is still of this file and this database; else the file opened anew."""
    identity = _identity()
    # A database that was set back to an earlier state counts its transactions again from there.
    if known is not None and known.identity == identity and known.until <= next_one:
        return known
    index = None
    if identity is not None:
        try:
            index = HashIndex(path())
        except HashIndexUnusable as error:
            logger.error("%s", error.message)
    if index is not None and index.watermark > next_one:
        logger.error("The index of banned hashes is of another state of the database.")
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
    """The oldest transaction that still runs, and the first that has not begun."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint "
            "FROM pg_current_snapshot() AS now"
        )
        running, next_one = cursor.fetchone()
    return int(running), int(next_one)


def _count(watermark: int) -> int:
    """How many rows a file of this watermark should have."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_FROM} AND tx < %s", [watermark])
        (count,) = cursor.fetchone()
    return int(count)


def _rows(condition: str) -> NDArray[np.void]:
    """``id``, ``hash`` and ``tx`` of the stored PDQ hashes for which a condition holds."""
    select = f"SELECT id, decode(value, 'hex'), tx {_FROM} AND {condition}"
    return read_rows(select, {}, _COLUMNS)
