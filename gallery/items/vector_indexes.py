"""The HNSW indexes of vectors: the memory that building and searching them takes, and their care.

An index is built as a graph in memory. What does not fit into ``maintenance_work_mem`` is inserted
on disk, which takes many times as long.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from django.db import connection
from django.utils.translation import gettext

from gallery.shared import readable
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one

NODE_BYTES: Final = 800
"""What a vector takes in the graph while it is built, beside its numbers, with 16 links."""
LEAST_BUILD_MEMORY: Final = 64 * 2**20
LOOK_EVERY: Final = 1.0
BUSY: Final = Conflict("The indexes are being maintained already.")

_LEFTOVER = re.compile(r"_cc(new|old)\d*$")
_BITS = {"vector": 32, "halfvec": 16, "bit": 1}

_INDEXES = """
SELECT c.relname, t.relname, x.indisvalid, pg_get_indexdef(c.oid),
       format_type(a.atttypid, a.atttypmod), greatest(c.reltuples, 0)::bigint,
       pg_relation_size(c.oid)
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'hnsw'
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
WHERE c.relnamespace = current_schema()::regnamespace ORDER BY t.relname, c.relname
"""

logger = logging.getLogger(__name__)
Tell = Callable[[int, int], None]
"""Is told how many of how many vectors are in the new index."""


@dataclass(frozen=True)
class HnswIndex:
    """``kind``: of its vectors, such as ``halfvec(512)``. ``vectors``: as PostgreSQL counted last.
    ``size``: bytes on disk. ``valid``: False for what an interrupted rebuild left."""

    name: str
    table: str
    valid: bool
    definition: str
    kind: str
    vectors: int
    size: int

    @property
    def build_bytes(self) -> int:
        return build_bytes(self.vectors, self.kind)


def hnsw_indexes() -> list[HnswIndex]:
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES)
        return [HnswIndex(*row) for row in cursor.fetchall()]


def build_bytes(vectors: int, kind: str) -> int:
    """Return the bytes of memory that the graph of so many vectors takes while it is built."""
    name, dimensions = re.findall(r"\w+", kind)
    return vectors * (_BITS[name] * int(dimensions) // 8 + NODE_BYTES)


@contextmanager
def memory_to_build(vectors: int, kind: str) -> Iterator[None]:
    """Give this connection the memory for a graph of so many vectors, at most what the server
    allows for one. Write to the log if that is too little.

    Processes that build together take all of it at once, however small the index is.
    """
    needed = max(build_bytes(vectors, kind) * 11 // 10, LEAST_BUILD_MEMORY)
    allowed = server_bytes("maintenance_work_mem")
    if needed > allowed:
        logger.warning(_too_little_to_build("an index of vectors", needed, allowed))
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = %s", [f"{min(needed, allowed) // 2**20}MB"])
        try:
            yield
        finally:
            cursor.execute("RESET maintenance_work_mem")


def server_bytes(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_bytes(current_setting(%s))", [name])
        (value,) = cursor.fetchone()
    return int(value)


def outgrown() -> list[str]:
    """Return a sentence for each limit of the server that the indexes have outgrown."""
    found, indexes = [], [index for index in hnsw_indexes() if index.valid]
    size, buffers = sum(index.size for index in indexes), server_bytes("shared_buffers")
    if size > buffers:
        sentence = gettext(
            "The indexes of vectors take %(size)s, and shared_buffers of PostgreSQL is "
            "%(buffers)s: searches become slow."
        )
        sizes = {"size": readable.size(size), "buffers": readable.size(buffers)}
        found.append(f"{sentence % sizes} {_remedy('shared_buffers', size)}")
    allowed = server_bytes("maintenance_work_mem")
    largest = max(indexes, key=lambda index: index.build_bytes, default=None)
    if largest and largest.build_bytes > allowed:
        found.append(_too_little_to_build(largest.name, largest.build_bytes, allowed))
    return found


def _too_little_to_build(what: str, needed: int, allowed: int) -> str:
    sentence = gettext(
        "Building %(what)s needs %(needed)s of memory, and maintenance_work_mem of "
        "PostgreSQL is %(allowed)s: it takes many times as long."
    )
    values = {
        "what": what,
        "needed": readable.size(needed),
        "allowed": readable.size(allowed),
    }
    return f"{sentence % values} {_remedy('maintenance_work_mem', needed)}"


def _remedy(name: str, needed: int) -> str:
    return gettext(
        "Set %(name)s to %(megabytes)dMB if the machine has four times that; the embedded "
        "PostgreSQL takes a quarter of the memory by itself. Else give it more memory."
    ) % {"name": name, "megabytes": -(-needed * 5 // 4 // 2**20)}


def maintain(tell: Callable[[HnswIndex], Tell], *, fresh: Collection[str] = ()) -> None:
    """Rebuild the indexes that are not ``fresh``, and vacuum their tables.

    Searches use an old index until the new one is complete. What was deleted leaves the graphs, and
    what was added since gets the links of a fresh build. What an interrupted run left is removed
    first. Raises ``Conflict`` if another one runs.
    """
    with only_one(Lock.VECTOR_INDEXES, BUSY):
        for index in hnsw_indexes():
            if not index.valid and _LEFTOVER.search(index.name):
                _execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{index.name}"')
        indexes = hnsw_indexes()
        for index in indexes:
            if index.name in fresh:
                continue
            with memory_to_build(index.vectors, index.kind), watched(index, tell(index)):
                _execute(f'REINDEX INDEX CONCURRENTLY "{index.name}"')
        for table in sorted({index.table for index in indexes}):
            _execute(f'VACUUM ANALYZE "{table}"')


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def watched(index: HnswIndex, tell: Tell) -> Iterator[None]:
    """Tell how far the server is with building, which another connection has to ask."""
    ended = threading.Event()

    def watch() -> None:
        with closing(connection.copy()) as beside, beside.cursor() as cursor:
            while not ended.wait(LOOK_EVERY):
                cursor.execute(
                    "SELECT tuples_done FROM pg_stat_progress_create_index WHERE pid = %s", [pid]
                )
                for (done,) in cursor.fetchall():
                    tell(done, index.vectors)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    tell(index.vectors, index.vectors)
