"""The database of a backup: PostgreSQL's programs, and what is counted and named in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import OperationalError, connection
from psycopg2.extensions import make_dsn

from gallery.items.file_storage import file_columns
from imgsmlr_site.backup.contents import BackupError
from imgsmlr_site.postgres.programs import Say, find_binaries
from imgsmlr_site.postgres.server import EmbeddedPostgres

TABLES: Final = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relpersistence = 'p'
  AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
ORDER BY relname
"""
"""Unlogged tables are left out: a crash of PostgreSQL empties them, too."""


@contextmanager
def running(say: Say) -> Iterator[None]:
    """Start the embedded PostgreSQL for the block, unless it runs or ``DATABASE_URL`` is set.

    Raise BackupError if the database of ``DATABASE_URL`` does not answer, and PostgresError.
    """
    try:
        connection.ensure_connection()
    except OperationalError as error:
        if settings.DATABASE_URL:
            raise BackupError(
                f"The database of DATABASE_URL does not answer: {str(error).strip()}"
            ) from error
        with EmbeddedPostgres(settings.DATA_DIR, say=say):
            try:
                yield
            finally:
                connection.close()
        return
    yield


def server_version() -> int:
    """Return the major version."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::integer / 10000")
        (major,) = cursor.fetchone()
    return int(major)


def tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        return [name for (name,) in cursor.fetchall()]


def count_rows() -> dict[str, int]:
    """Return table → number of rows."""
    counts = {}
    with connection.cursor() as cursor:
        for table in tables():
            name = connection.ops.quote_name(table)
            cursor.execute(f"SELECT count(*) FROM {name}")  # noqa: S608 (a quoted name)
            (counts[table],) = cursor.fetchone()
    return counts


def applied_migrations() -> list[str]:
    """Return ``app.name`` of each migration."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


def named_files() -> Iterator[str]:
    """Yield the name of each file that a row names, in the order of their bytes."""
    quote = connection.ops.quote_name
    each = (
        f'SELECT {quote(column)} COLLATE "C" AS name FROM {quote(table)}'  # noqa: S608
        for table, column in file_columns()
    )
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"{' UNION '.join(each)} ORDER BY name")
        for (name,) in cursor:
            if name:
                yield name


def export_snapshot() -> str:
    """Return the name of the current transaction's snapshot, for ``dump``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        (name,) = cursor.fetchone()
    return str(name)


def dump(snapshot: str, target: Path) -> int:
    """Write the database as of ``snapshot``. Return pg_dump's major version."""
    version, program = find_program("pg_dump", server_version())
    _run(
        program,
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        # Only its owner may write the comment of an extension.
        "--no-comments",
        "--no-unlogged-table-data",
        f"--snapshot={snapshot}",
        f"--file={target}",
    )
    return version


def load(source: Path, pg_dump: int) -> None:
    """Restore into an empty database, in one transaction. ``pg_dump``: what wrote it."""
    _, program = find_program("pg_restore", max(server_version(), pg_dump))
    _run(program, "--no-owner", "--no-privileges", "--single-transaction", str(source))


def find_program(name: str, version: int) -> tuple[int, str]:
    """Return (major version, path) of the embedded server's program or of that in ``PATH``: the
    oldest that is not older than ``version``."""
    found = []
    for path in (str(find_binaries() / name), shutil.which(name)):
        if path is not None:
            said = subprocess.run([path, "--version"], capture_output=True, text=True)  # noqa: S603
            if number := re.search(r"\d+", said.stdout):
                found.append((int(number[0]), path))
    fit = [each for each in found if each[0] >= version]
    if not fit:
        raise BackupError(
            f"This needs {name} of PostgreSQL {version} or later: install PostgreSQL's client "
            f"programs of that version, so that {name} is in PATH."
        )
    return min(fit, key=lambda each: each[0])


def _run(program: str, *options: str) -> None:
    """Run a program of PostgreSQL on this database. Its files are readable only by their owner."""
    connection.ensure_connection()
    params = connection.connection.get_dsn_parameters()  # without the password
    password = connection.settings_dict["PASSWORD"]
    env = {**os.environ, "PGPASSWORD": password} if password else None
    done = subprocess.run(  # noqa: S603
        [program, f"--dbname={make_dsn(**params)}", *options],
        env=env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        umask=0o077,
    )
    if done.returncode:
        said = done.stderr.strip()[-2000:]
        raise BackupError(f"{Path(program).name} failed: {said}")
