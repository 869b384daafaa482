"""Keeps the collections of Milvus like the rows of PostgreSQL, from the outbox and from the rows.

A collection holds the vectors of ready images. Changes are applied by looking at the rows as they
are now, so they may come in any order and twice. A collection is filled by reading all rows once,
in the order of their ids, while changes are applied to it as well; it proposes when that is done.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django_q.tasks import async_task
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import CNN_DIMENSIONS, COPY_VERSION, PIXELS_VERSION
from gallery.items.models import ClipVersion
from gallery.search import milvus
from gallery.search.models import IndexChange, IndexCollection
from gallery.search.vector_index import VECTOR_SPACES
from gallery.shared.binary_copy import BIGINT, BITS_256, halfvec, read_rows, vector
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one

logger = logging.getLogger(__name__)
CLUSTER: Final = "lists"
TASK_SECONDS: Final = 50.0
"""A task that is not done by then goes on in another, so that it holds no worker for long."""

ROWS: Final = 1_000
"""Rows that are read and sent at a time."""

KEPT: Final = timedelta(seconds=10)
"""A replaced collection stays so long: processes that search know it for two seconds."""

BUSY = Conflict("The index is being fed by another process: try again when that has ended.")

TRIGGERS: Final = {
    "note_new_fingerprints": "gallery_imagefingerprint",
    "note_old_fingerprints": "gallery_imagefingerprint",
    "note_status": "gallery_image",
}
"""Each with its table."""

METRICS: Final = {"<->": "L2", "<~>": "L2", "<=>": "COSINE"}
"""Of bits that are stored as -1 and 1, L2 is twice the root of the Hamming distance: the same
order."""

NUMBERS: Final = {"pdq": "SQ8", "copy": "FP16", "clip": "FP16"}
"""What a graph in Milvus keeps instead of numbers of 4 bytes; rows of PostgreSQL say no more."""


@dataclass(frozen=True)
class Lag:
    """The ``seconds`` for which the oldest change waits, and the collections that are not complete,
    by match type and version, for which PostgreSQL proposes in the meantime."""

    seconds: float = 0.0
    incomplete: Sequence[tuple[str, str]] = ()


def lag() -> Lag:
    """Return how far the index is behind the rows. Cheap, as probes ask for it."""
    if not milvus.is_on():
        return Lag()
    oldest = IndexChange.objects.order_by("id").values_list("created_at", flat=True).first()
    complete = set(IndexCollection.objects.filter(complete_at__isnull=False).values_list(*_KEY))
    return Lag(
        max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0,
        [key[:2] for key in _wanted() if key not in complete],
    )


def feed_some() -> int:
    """Feed for some time. Return how many rows and changes were read; goes on in another task."""
    if not milvus.is_on():
        _switch_off()
        return 0
    count, until = 0, time.monotonic() + TASK_SECONDS
    try:
        with closing(feed()) as counts:
            for count in counts:  # noqa: B007 (the last one is returned)
                if time.monotonic() > until:
                    async_task("gallery.tasks.feed_index", cluster=CLUSTER)
                    break
    except Conflict:  # the command is at it
        return 0
    except milvus.MilvusUnavailable as error:
        logger.warning("The index is not fed: %s", error.message)
    return count


def feed() -> Generator[int]:
    """Apply all changes and fill what is incomplete; yield how many rows were read so far.

    Raises ``MilvusUnavailable``, and ``Conflict`` if another process feeds.
    """
    with only_one(Lock.INDEX, BUSY):
        _switch_on()
        _make_collections()
        done = 0
        while True:
            # In turns: changes that never end must not keep collections from being filled.
            changes, filled = _apply_changes(), _fill_next()
            if not changes and filled is None:
                break
            done += changes + (filled or 0)
            yield done
        _drop_replaced()


def rebuild(*, restart: bool = False) -> None:
    """Begin to fill new collections beside the complete ones, unless some are being filled.

    ``restart``: forget those. ``feed`` does the work.
    """
    with only_one(Lock.INDEX, BUSY):
        _switch_on()
        begun = IndexCollection.objects.filter(complete_at__isnull=True)
        if restart:
            _drop(list(begun))
        if not begun.exists():
            for key in _wanted():
                _create(key)


def rows_to_read() -> int:
    """Return how many rows the incomplete collections still have to read."""
    total = 0
    for one in IndexCollection.objects.filter(complete_at__isnull=True):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) {_source(one)} AND f.id > %(after)s",
                {"version": one.version, "after": one.read_to},
            )
            total += cursor.fetchone()[0]
    return total


_KEY = ("match_type", "version", "dimensions")


def _wanted() -> list[tuple[str, str, int]]:
    """Return match type, version and dimensions of all vectors that are searched."""
    return [
        ("imgsmlr", PIXELS_VERSION, 16),
        ("pdq", PIXELS_VERSION, 256),
        ("copy", COPY_VERSION, CNN_DIMENSIONS),
        *(
            ("clip", row.version, row.dimensions)
            for row in ClipVersion.objects.exclude(state=ClipVersion.State.REPLACED).order_by("id")
        ),
    ]


def _make_collections() -> None:
    """Create what is wanted and not there, and begin again what Milvus has lost."""
    lost = [one for one in IndexCollection.objects.all() if not milvus.exists(one.name)]
    IndexCollection.objects.filter(pk__in=[one.pk for one in lost]).delete()
    for one in IndexCollection.objects.filter(complete_at__isnull=False):
        milvus.load(one.name)
    there = set(IndexCollection.objects.values_list(*_KEY))
    for key in _wanted():
        if key not in there:
            _create(key)


def _create(key: tuple[str, str, int]) -> None:
    match_type, version, dimensions = key
    row = IndexCollection(
        name=f"imgsmlr_{match_type}_{uuid.uuid4().hex[:12]}",
        match_type=match_type,
        version=version,
        dimensions=dimensions,
    )
    metric = METRICS[VECTOR_SPACES[match_type].operator]
    milvus.create(row.name, dimensions, metric, NUMBERS.get(match_type, ""))
    row.save()


def _apply_changes() -> int:
    """Apply the oldest changes to every collection. Return how many there were."""
    oldest = IndexChange.objects.order_by("id")[:ROWS]
    changes = list(oldest.values_list("id", "fingerprint", "version"))
    changed = defaultdict[str, set[int]](set)
    for _, fingerprint, version in changes:
        changed[version].add(fingerprint)
    for one in IndexCollection.objects.filter(version__in=changed):
        ids = changed[one.version]
        there = _read(one, "f.id = ANY(%(ids)s)", ids=list(ids))
        milvus.put(one.name, *there)
        milvus.remove(one.name, sorted(ids.difference(there[0])))
    IndexChange.objects.filter(id__in=[change[0] for change in changes]).delete()
    return len(changes)


def _fill_next() -> int | None:
    """Fill a part of an incomplete collection. Return how many rows that were; None: all are."""
    one = IndexCollection.objects.filter(complete_at__isnull=True).order_by("id").first()
    if one is None:
        return None
    ids, vectors = _read(one, f"f.id > %(after)s ORDER BY f.id LIMIT {ROWS}", after=one.read_to)
    milvus.put(one.name, ids, vectors)
    if ids:
        one.read_to = ids[-1]
    else:
        milvus.finish(one.name)
        one.complete_at = timezone.now()
    one.save()
    return len(ids)


def _source(one: IndexCollection) -> str:
    return (
        "FROM gallery_imagefingerprint f JOIN gallery_image i ON i.id = f.item_id "
        f"WHERE f.version = %(version)s AND f.{VECTOR_SPACES[one.match_type].column} IS NOT NULL "
        "AND i.status = 'ready'"
    )


def _read(
    one: IndexCollection, condition: str, **params: Any
) -> tuple[list[int], NDArray[np.float32]]:
    """Return the ids and vectors of ready images' rows, as they are now."""
    kinds = {"imgsmlr": vector(one.dimensions), "pdq": BITS_256}
    column = VECTOR_SPACES[one.match_type].column
    rows = read_rows(
        f"SELECT f.id, f.{column} {_source(one)} AND {condition}",
        {"version": one.version, **params},
        {"id": BIGINT, "vector": kinds.get(one.match_type, halfvec(one.dimensions))},
    )
    values = rows["vector"]["values"]
    if one.match_type == "pdq":
        values = np.unpackbits(np.ascontiguousarray(values), axis=1) * 2.0 - 1.0
    return rows["id"].tolist(), values.astype(np.float32)


def _drop_replaced() -> None:
    """Drop collections that a complete one has replaced, and those of versions that are gone."""
    wanted, replaced, seen = set(_wanted()), list[IndexCollection](), set[tuple[Any, ...]]()
    settled = timezone.now() - KEPT
    for one in IndexCollection.objects.order_by("-id"):
        key = (one.match_type, one.version, one.dimensions)
        if key in seen or key not in wanted:
            replaced.append(one)
        elif one.complete_at is not None and one.complete_at < settled:
            seen.add(key)
    _drop(replaced)


def _drop(collections: Sequence[IndexCollection]) -> None:
    for one in collections:
        one.delete()
        milvus.drop(one.name)


def _switch_on() -> None:
    """Let the triggers write changes, before the first row is read, so that none is missed: this
    waits for the transactions that write now."""
    if not _triggers_are_on():
        _set_triggers("ENABLE")


def _switch_off() -> None:
    """Forget the index: without one nobody would ever take the changes."""
    if _triggers_are_on():
        _set_triggers("DISABLE")
        forget()


def forget() -> None:
    """Forget which collections are filled, as after a restore. Workers then fill new ones."""
    IndexCollection.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE gallery_indexchange")


def _triggers_are_on() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(tgenabled <> 'D') FROM pg_trigger WHERE tgname = ANY(%s)",
            [list(TRIGGERS)],
        )
        (on,) = cursor.fetchone()
    return bool(on)


def _set_triggers(how: str) -> None:
    """``how``: ENABLE or DISABLE."""
    steps = [f"ALTER TABLE {table} {how} TRIGGER {name}" for name, table in TRIGGERS.items()]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Who writes to these tables would wait as long.
            cursor.execute(f"SET LOCAL lock_timeout = '5s'; {'; '.join(steps)}")
    except OperationalError as error:
        raise BUSY from error
