"""Empties the database after a test that committed.

Django's ``flush`` truncates every table, and ``post_migrate`` writes groups and permissions anew.
Here only tables that were written to are truncated; those of a transaction that was rolled back
too, because their rows stay in the graph of a vector index.
"""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

WRITTEN = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname = current_schema() AND pg_relation_size(pg_class.oid) > 0
"""
"""A table that was just created or truncated has no pages."""


class Emptying:
    """``filled``: the rows that migrations wrote, as a digest by table."""

    def __init__(self) -> None:
        self.filled = {table: digest for table in _written() if (digest := _digest(table))}

    def __call__(self, case: TransactionTestCase) -> None:
        if any(_digest(table) != digest for table, digest in self.filled.items()):
            call_command("flush", verbosity=0, interactive=False)
            return
        written = [table for table in _written() if table not in self.filled]
        if written:
            names = ", ".join(map(connection.ops.quote_name, written))
            with connection.cursor() as cursor:
                cursor.execute(f"TRUNCATE {names} CASCADE")


def install() -> None:
    """To be called once the tables are there."""
    emptying = Emptying()
    TransactionTestCase._fixture_teardown = lambda case: emptying(case)  # type: ignore[attr-defined]


def _written() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(WRITTEN)
        return [name for (name,) in cursor.fetchall()]


def _digest(table: str) -> str | None:
    """None if the table is empty."""
    name = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {name} AS t")
        (digest,) = cursor.fetchone()
    return digest
