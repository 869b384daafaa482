"""Reading many rows at once for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def many_rows() -> Iterator[Any]:
    """A cursor whose joins are hashed, each table read once.

    After a bulk load, or while most matches are of one list, PostgreSQL may expect far fewer rows
    than there are, and look up the other table for each of them.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield cursor
        cursor.execute("SET LOCAL enable_nestloop = on")
