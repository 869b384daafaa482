"""Rows of a table for exact comparison: in this machine's index file, and newer ones in memory.

The file has the rows of all transactions below its watermark: the oldest transaction that was still
running when the file was written. This process keeps newer rows in memory once their transaction
has ended. It reads the rows of running transactions for each query. So no row is missed, even if
its transaction took long, or if the file is missing or damaged. Callers check what they find
against the current rows: a row may have been deleted, or written again by a later transaction.

A file belongs to one database. ``refresh`` rewrites it in a worker. On a machine without a worker,
each process keeps all rows in memory.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from django.conf import settings
from django.db import connection
from numpy.typing import NDArray

from moderation.lists.index_file import IndexFile, IndexUnusable

DIRECTORY = "hashes"
"""Below the data directory."""

NEWER_PART = 100
"""This part of a file's rows may be missing from it before it is rewritten, as a large file takes
long to write, and to open in every process."""

Rows = NDArray[np.void]
"""Rows with a field ``tx``: the transaction that wrote the row."""

Index = TypeVar("Index", bound=IndexFile)

logger = logging.getLogger(__name__)

Identity = tuple[int, int] | None
"""Device and inode of a file; None if there is no file."""


@dataclass(frozen=True)
class Settled(Generic[Index]):
    """A file, and the rows that it lacks from ended transactions, those below ``until``.

    If ``index`` is None, the file with this ``identity`` is missing or unusable, and all rows below
    ``until`` are in ``rows``.
    """

    identity: Identity
    index: Index | None
    until: int
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def unusable(self) -> bool:
        return self.index is None and self.identity is not None


class SharedRows(ABC, Generic[Index]):
    """The rows of one table. ``kind``: the ending of the file's name. ``most_newer``: the file is
    rewritten when more rows than this, and more than a part of its own, are missing from it."""

    def __init__(self, kind: str, *, most_newer: int) -> None:
        self._kind, self.most_newer = kind, most_newer
        self._lock = threading.Lock()
        self._kept: dict[Path, Settled[Index]] = {}

    @abstractmethod
    def open(self, path: Path) -> Index:
        """Raises ``IndexUnusable``."""

    @abstractmethod
    def write(self, path: Path, rows: Rows, *, watermark: int, older: Index | None = None) -> None:
        """Write the file of all rows of ``older`` and of these rows."""

    @abstractmethod
    def read(self, condition: str) -> Rows:
        """Read the rows for which an SQL condition on ``tx`` holds."""

    @abstractmethod
    def count(self, condition: str) -> int:
        """Count the rows for which an SQL condition on ``tx`` holds."""

    def current(self) -> tuple[Settled[Index], Rows]:
        """Return what is settled, and the rows of running transactions, this one's included."""
        running, next_one = _bounds()
        path = self.path()
        known = self._kept.get(path)
        settled = self._usable(known, next_one)
        rows = self.read(f"tx >= {settled.until}")
        if running > settled.until:
            ended = rows["tx"] < running
            newer = _joined(settled.rows, rows[ended])
            settled, rows = replace(settled, until=running, rows=newer), rows[~ended]
        with self._lock:
            # Another thread may have stored a newer state.
            if self._kept.get(path) is known:
                self._kept[path] = settled
        return settled, rows

    def is_due(self) -> bool:
        """Return whether the file is damaged or lacks many rows."""
        settled, rows = self.current()
        return settled.unusable or self._are_many(len(settled) + len(rows), settled.index)

    def refresh(self, *, always: bool = False) -> int:
        """Rewrite this machine's file if it lacks many rows or differs from the database.

        Deleted and restored rows are noticed because the number of rows differs. If it does not,
        only newer rows are read from the database. With ``always``, all rows are. No file is
        written for few rows. Returns the number of rows in the file.
        """
        settled, _ = self.current()
        older = None if always else settled.index
        if older is not None and self.count(f"tx < {older.watermark}") != len(older):
            older = None
        if not (always or self._are_many(len(settled), settled.index)):
            if older is not None:
                return len(older)
            if settled.identity is None:
                return 0
        first, (watermark, _) = older.watermark if older is not None else 0, _bounds()
        # The rows are complete: all of these transactions had ended when the watermark was read.
        rows = self.read(f"tx >= {first} AND tx < {watermark}")
        self.write(self.path(), rows, watermark=watermark, older=older)
        return len(rows) + (len(older) if older is not None else 0)

    def _are_many(self, newer: int, index: Index | None) -> bool:
        return newer > max(self.most_newer, len(index) // NEWER_PART if index is not None else 0)

    def path(self) -> Path:
        return settings.DATA_DIR / DIRECTORY / f"{_database()}.{self._kind}"

    def forget(self) -> None:
        """Drop what this process keeps in memory."""
        self._kept.clear()

    def _usable(self, known: Settled[Index] | None, next_one: int) -> Settled[Index]:
        """Return ``known`` if it still belongs to this file and database; else open it again."""
        path = self.path()
        identity = _identity(path)
        # The transaction numbers of a restored database restart at an earlier number.
        if known is not None and known.identity == identity and known.until <= next_one:
            return known
        index = None
        if identity is not None:
            try:
                index = self.open(path)
            except IndexUnusable as error:
                logger.error("%s", error.message)
        if index is not None and index.watermark > next_one:
            logger.error("The index %s does not belong to this state of the database.", path.name)
            index = None
        return Settled(identity, index, index.watermark if index else 0, self.read("false"))


_databases: dict[str, str] = {}


def _database() -> str:
    """Return the name of the database among all databases of all servers."""
    name = str(connection.settings_dict["NAME"])
    if name not in _databases:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT system_identifier, (SELECT oid FROM pg_database "
                "WHERE datname = current_database()) FROM pg_control_system()"
            )
            _databases[name] = "{}-{}".format(*cursor.fetchone())
    return _databases[name]


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _bounds() -> tuple[int, int]:
    """Return the oldest running transaction and the next one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint "
            "FROM pg_current_snapshot() AS now"
        )
        running, next_one = cursor.fetchone()
    return int(running), int(next_one)


def _joined(first: Rows, second: Rows) -> Rows:
    if not (len(first) and len(second)):
        return first if len(first) else second
    return np.concatenate([first, second])
