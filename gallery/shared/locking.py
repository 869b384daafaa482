"""Row locks and advisory locks, taken in one order so that transactions cannot deadlock.

A transaction that locks rows of several tables locks them in this order, and within a table by id:

1. the advisory lock of something that has no row yet, such as bytes that are being checked
2. a batch that is being undone
3. images, then videos
4. cases, with their decisions, matches and claims
5. lists, then their items
6. webhooks and their messages
7. the audit log, whose lock is held to the end of the transaction

A query with ``skip_locked`` never waits and may come at any point.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

from gallery.shared.errors import Conflict

Row = TypeVar("Row", bound=Model)


class Lock(IntEnum):
    """The keys of all advisory locks in this database: arbitrary but distinct constants."""

    FIRST_ADMIN = 0x696D6773
    AUDIT = 0x696D6761
    DUPLICATES = 0x6475706C
    BACKUP = 0x6261636B
    MOVING = 0x6D6F7665
    IMPORT = 0x696D7074 << 32
    """Add the id of the list."""
    WEBHOOK = 0x77656268 << 32
    """Add the id of the webhook."""
    EXCHANGES = 0x65786368
    """Held by the process that pulls."""
    INDEX = 0x6D696C76
    """Held by the process that feeds the index outside of PostgreSQL."""
    VECTOR_INDEXES = 0x686E7377
    """Held by the process that builds or drops indexes of vectors."""


def lock(name: Lock | str) -> None:
    """Take an advisory lock, held to the end of the transaction."""
    key, value = ("hashtextextended(%s, 0)", name) if isinstance(name, str) else ("%s", int(name))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({key})", [value])  # constants


@contextmanager
def only_one(number: int, busy: Conflict) -> Iterator[None]:
    """Hold an advisory lock during the block. Raises ``busy`` if another session holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        if cursor.fetchone() != (True,):
            raise busy
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def locked(rows: QuerySet[Row], *, no_key: bool = False) -> list[Row]:
    """Lock the rows by id, to the end of the transaction, whatever the query's order.

    ``no_key``: others may insert rows that refer to these; do not use it before deleting them.
    """
    return list(rows.order_by("pk").select_for_update(of=("self",), no_key=no_key))
