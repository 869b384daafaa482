"""Files in the storage that no row names: their process ended between a file and its row.

Every file field of every model counts, so that what an image, a video, a list or a case names
stays, whoever holds it and why. A file that no row names is never named later: names are random, or
not given again while the file is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

from django.apps import apps
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import FileField
from django.utils import timezone

from gallery.shared.errors import UserError

GRACE: Final = timedelta(days=1)
"""A file is written before its row is committed. No transaction takes that long."""

CHUNK: Final = 100_000
"""Names in one question: each reads all rows."""

FEW, SHARE = 100, 0.1
"""More files than both without a row are no accidents: the database may not belong to them."""

logger = logging.getLogger(__name__)


class TooMany(UserError):
    """So many files have no row that something else is wrong."""

    code = "too_many_orphans"


def find() -> tuple[list[str], int]:
    """The names of files that nothing names for a day, and how many files there are in all."""
    orphans: list[str] = []
    total = 0
    files = _files("")
    while names := list(islice(files, CHUNK)):
        total += len(names)
        orphans += [name for name in _unnamed(names) if _is_old(name)]
    return orphans, total


def remove(*, anyway: bool = False) -> int:
    """Delete them. Answers how many. Raises ``TooMany`` unless ``anyway``, and deletes none."""
    orphans, total = find()
    if len(orphans) > max(FEW, SHARE * total) and not anyway:
        raise TooMany(
            f"No row names {len(orphans):,} of {total:,} files, so none was removed. See whether "
            "the database and the media directory belong together; if they do, run "
            "manage.py remove_orphans --anyway."
        )
    removed = 0
    for name in orphans:
        # Another clean-up may have removed it, and its name been given again.
        if _is_old(name):
            default_storage.delete(name)
            removed += 1
            logger.info("removed %s, which no row names", name)
    return removed


def _files(directory: str) -> Iterator[str]:
    """The names of all files in directories. Hidden ones, those beside the directories, and such as
    we never name are not of our making."""
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
    """One statement, and so one moment: a name that goes from one row to another is seen."""
    quote = connection.ops.quote_name
    rows = [
        f"{quote(model._meta.db_table)} WHERE {quote(str(field.column))} = file.name"
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, FileField)
    ]
    unnamed = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {row})" for row in rows)  # noqa: S608
    query = f"SELECT name FROM unnest(%s::text[]) AS file (name) WHERE {unnamed}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(query, [list(names)])
        return [name for (name,) in cursor.fetchall()]


def _is_old(name: str) -> bool:
    """By when the file came to be here: one that was moved or restored keeps other times."""
    try:
        return default_storage.get_created_time(name) < timezone.now() - GRACE
    except FileNotFoundError:
        return False
