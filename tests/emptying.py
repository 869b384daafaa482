"""Empties the database after a test that committed.

Django's ``flush`` truncates every table, and ``post_migrate`` writes groups and permissions anew.
Here only tables that were written to are emptied, those of a transaction that was rolled back too.
Rows are deleted, as new files for a table and its indexes take a hundred times as long, unless they
are many, or in the graph of a vector index, where they would stay.
"""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase

FEW = 256 * 1024
"""Bytes of rows, deleted ones included, which a table keeps until a VACUUM."""
WRITTEN = f"""
SELECT relname, pg_relation_size(pg_class.oid) <= {FEW} AND NOT EXISTS (
    SELECT FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
    JOIN pg_am ON pg_am.oid = index.relam WHERE indrelid = pg_class.oid AND amname = 'hnsw')
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname = current_schema() AND pg_relation_size(pg_class.oid) > 0
"""
"""Each table, and whether its rows are to be deleted. One that was just created or truncated has no
pages."""


class Emptying:
    """``filled``: the rows that migrations wrote, as a digest by table."""

    def __init__(self) -> None:
        self.filled = {table: digest for table in _written() if (digest := _digest(table))}

    def __call__(self, case: TransactionTestCase) -> None:
        if any(_digest(table) != digest for table, digest in self.filled.items()):
            call_command("flush", verbosity=0, interactive=False)
            return
        written = {name: few for name, few in _written().items() if name not in self.filled}
        if written:
            _empty(written)


def _empty(tables: dict[str, bool]) -> None:
    """``tables``: name → whether rows are deleted. Waits for whoever still writes to one."""
    quoted = {connection.ops.quote_name(name): few for name, few in tables.items()}
    steps = ["SET LOCAL session_replication_role = replica"]  # no triggers, such as foreign keys'
    steps.append(f"LOCK TABLE {', '.join(quoted)} IN EXCLUSIVE MODE")
    steps += [f"DELETE FROM {name}" for name, few in quoted.items() if few]
    if many := [name for name, few in quoted.items() if not few]:
        steps.append(f"TRUNCATE {', '.join(many)} CASCADE")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("; ".join(steps))


def install() -> None:
    """To be called once the tables are there."""
    emptying = Emptying()
    TransactionTestCase._fixture_teardown = lambda case: emptying(case)  # type: ignore[attr-defined]


def _written() -> dict[str, bool]:
    with connection.cursor() as cursor:
        cursor.execute(WRITTEN)
        return dict(cursor.fetchall())


def _digest(table: str) -> str | None:
    """None if the table is empty."""
    name = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {name} AS t")
        (digest,) = cursor.fetchone()
    return digest
