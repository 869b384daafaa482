"""Counts of what web processes and workers do, summed in the database for ``/metrics``.

Workers serve no metrics, and may run on other hosts. The table is UNLOGGED, without a model: a
crash of PostgreSQL begins all counts at 0 again, as Prometheus expects of a restart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, connection, transaction

ADD = """
INSERT INTO gallery_counter AS counter (name, labels, number, seconds) VALUES (%s, %s, %s, %s)
ON CONFLICT (name, labels) DO UPDATE
SET number = counter.number + excluded.number, seconds = counter.seconds + excluded.seconds
"""


def count(name: str, *labels: str, number: int = 1, seconds: float = 0.0) -> None:
    """Add to a counter once the transaction is committed, so that no lock is held meanwhile."""
    # robust: what was committed stays done if its counting fails
    with contextlib.suppress(DatabaseError, InterfaceError):  # no database, no count
        transaction.on_commit(lambda: _add(name, list(labels), number, seconds), robust=True)


def _add(name: str, labels: list[str], number: int, seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ADD, [name, labels, number, seconds])


def read(name: str) -> Iterator[tuple[list[str], int, float]]:
    """Yield labels, number and seconds of each counter with this name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT labels, number, seconds FROM gallery_counter WHERE name = %s ORDER BY labels",
            [name],
        )
        yield from cursor.fetchall()
