"""Load first, index afterwards: drop the vector indexes of images, and build what is missing.

Which indexes there must be follows from the models, so nothing has to remember that they were
dropped, whatever is killed. Until they are built searches compare every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from django.db import OperationalError, connection
from django.utils.translation import gettext
from pgvector.django import HnswIndex as DeclaredIndex
from psycopg2.errors import QueryCanceled
from psycopg2.extensions import set_wait_callback
from psycopg2.extras import wait_select

from gallery.items import vector_indexes, versions
from gallery.items.models import ClipVersion, ImageFingerprint
from gallery.items.vector_indexes import HnswIndex, Tell, memory_to_build, watched
from gallery.shared.locking import Lock, only_one

TABLE: Final = ImageFingerprint._meta.db_table
CLIENT_LOST_AFTER: Final = "5s"
"""The server looks so often whether the command that builds still lives."""


@dataclass(frozen=True)
class WantedIndex:
    """``kind``: of its vectors, which are those of ``column`` and ``version``."""

    name: str
    definition: str
    column: str
    kind: str
    version: str


def wanted() -> Iterator[WantedIndex]:
    """Yield the vector indexes that images must have."""
    for index in ImageFingerprint._meta.indexes:
        if isinstance(index, DeclaredIndex):
            (column,) = index.fields
            kind = ImageFingerprint._meta.get_field(column).db_type(connection)
            statement = index.create_sql(
                ImageFingerprint, connection.schema_editor(), concurrently=True
            )
            version = dict(index.condition.children)["version"]  # type: ignore[union-attr, arg-type]
            yield WantedIndex(index.name, str(statement), column, str(kind), version)
    for row in ClipVersion.objects.filter(state=ClipVersion.State.ACTIVE):
        yield WantedIndex(
            versions.index_name(row.version),
            versions.create_index(row, "CONCURRENTLY"),
            "clip",
            f"halfvec({row.dimensions})",
            row.version,
        )


def missing() -> list[WantedIndex]:
    there = {index.name for index in vector_indexes.hnsw_indexes() if index.valid}
    return [index for index in wanted() if index.name not in there]


def problems() -> list[str]:
    """Return a sentence about what is missing, and one for each limit that was outgrown."""
    names = ", ".join(index.name for index in missing())
    sentence = gettext(
        "Indexes of vectors are missing (%(names)s): searches compare every image. Wait for the "
        "bulk_load that runs, run one that was interrupted again, or manage.py maintain_indexes."
    )
    return [*([sentence % {"names": names}] if names else []), *vector_indexes.outgrown()]


def drop() -> None:
    """Searches and writes go on meanwhile."""
    for index in wanted():
        _drop(index.name)


def build_missing(tell: Callable[[HnswIndex], Tell]) -> list[str]:
    """Build what is missing, one index after the other, while searches and writes go on.

    Returns the names of the new indexes. Raises ``Conflict`` if indexes are being built already.
    """
    built = []
    with (
        only_one(Lock.VECTOR_INDEXES, vector_indexes.BUSY),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET client_connection_check_interval = %s", [CLIENT_LOST_AFTER])
        for index in missing():
            _drop(index.name)  # what a build left that was killed
            cursor.execute(
                f"SELECT count(*) FROM {TABLE} WHERE version = %s "  # noqa: S608
                f"AND {index.column} IS NOT NULL",
                [index.version],
            )
            (vectors,) = cursor.fetchone()
            new = HnswIndex(index.name, TABLE, False, index.definition, index.kind, vectors, 0)
            with memory_to_build(vectors, index.kind), watched(new, tell(new)), _interruptible():
                cursor.execute(index.definition)
            built.append(index.name)
        cursor.execute("RESET client_connection_check_interval")
        cursor.execute(f"ANALYZE {TABLE}")
    return built


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C cancel what the server does, instead of waiting for its end."""
    set_wait_callback(wait_select)
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise KeyboardInterrupt from error
        raise
    finally:
        set_wait_callback(None)


def _drop(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
