"""Remove files that no row names: a process ended after it wrote a file and before its row.

All file fields of all models count, so files of images, videos, lists and cases stay. A file
that no row names is never named later: names are random, or are not reused while the file
exists.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from gallery.items.file_storage import file_columns
from gallery.shared.errors import UserError

GRACE: Final = timedelta(days=1)
"""Minimum age of an orphan: a file is written before its row is committed."""

NAMES_PER_QUERY: Final = 100_000
"""File names per query. Each query reads all rows."""

FEW_ORPHANS, SMALL_SHARE = 100, 0.1
"""If more files than both limits have no row, the database may not match the media directory."""

logger = logging.getLogger(__name__)


class TooMany(UserError):
    """So many files have no row that the database may be the wrong one."""

    code = "too_many_orphans"


def find() -> tuple[list[str], int]:
    """Return the names of files older than a day that no row names, and the number of files."""
    orphans: list[str] = []
    total = 0
    files = _files("")
    while names := list(islice(files, NAMES_PER_QUERY)):
        total += len(names)
        orphans += [name for name in _unnamed(names) if _is_old(name)]
    return orphans, total


def remove(*, anyway: bool = False) -> int:
    """Delete the orphans. Return how many. Unless ``anyway``, may raise ``TooMany`` before that."""
    orphans, total = find()
    if len(orphans) > max(FEW_ORPHANS, SMALL_SHARE * total) and not anyway:
        raise TooMany(
            f"No row names {len(orphans):,} of {total:,} files, so none was removed. Check whether "
            "the database and the media directory belong together; if they do, run "
            "manage.py remove_orphans --anyway."
        )
    removed = 0
    for name in orphans:
        # Another clean-up may have removed it, and a new file may have its name.
        if _is_old(name):
            default_storage.delete(name)
            removed += 1
            logger.info("removed %s, which no row names", name)
    return removed


def _files(directory: str) -> Iterator[str]:
    """Yield file names in subdirectories, but not hidden or non-ASCII ones: we create none of
    these."""
    try:
        directories, files = default_storage.listdir(directory)
    except (FileNotFoundError, PermissionError):
        return
    within = f"{directory}/" if directory else ""
    if directory:
        yield from (within + name for name in files if _is_ours(name))
    for name in directories:
        if _is_ours(name):
            yield from _files(within + name)


def _is_ours(name: str) -> bool:
    return name.isascii() and not name.startswith(".")


def _unnamed(names: Sequence[str]) -> list[str]:
    """Return the names that no row holds. One statement finds a name that moves between rows."""
    quote = connection.ops.quote_name
    rows = [f"{quote(table)} WHERE {quote(column)} = file.name" for table, column in file_columns()]
    unnamed = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {row})" for row in rows)  # noqa: S608
    query = f"SELECT name FROM unnest(%s::text[]) AS file (name) WHERE {unnamed}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(query, [list(names)])
        return [name for (name,) in cursor.fetchall()]


def _is_old(name: str) -> bool:
    """Compare the creation time: a file that was moved or restored keeps its other times."""
    try:
        return default_storage.get_created_time(name) < timezone.now() - GRACE
    except FileNotFoundError:
        return False
