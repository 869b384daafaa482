"""Which models' vectors are stored, and which CLIP model searches use.

The first model is active at once. The vectors of a model configured later are filled while the
old model serves searches: ``begin``, then ``activate``, which makes it active in one transaction.
What the old model made stays for ``GRACE`` seconds, for processes and searches that do not know of
the switch yet; ``drop_replaced`` then deletes it. Each step may be cut short and repeated.
"""

from __future__ import annotations

import time
import zlib
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import ColumnsByVersion, Descriptor
from gallery.items import vector_indexes
from gallery.items.models import ClipVersion, ImageFingerprint
from gallery.items.signals import version_replaced
from gallery.shared.errors import Conflict, Unavailable
from gallery.shared.locking import Lock, only_one

GRACE = 120.0
"""Seconds from the switch until the old model's vectors are deleted. All processes know of the
switch after two; a search that began before it may take until its request ends."""

ROWS_PER_BATCH = 1000

BUSY = Conflict("Another process builds or drops indexes of vectors. Try it again later.")

State = ClipVersion.State

_CACHE_SECONDS = 2.0
_cached: tuple[float, ClipVersion | None] = (0.0, None)


def active() -> str | None:
    """Return the version that searches read, or None. At most two seconds old."""
    row = _active()
    return row.version if row else None


def searched() -> Descriptor:
    """Return the CLIP model that searches use: the active version's, else the configured one.

    Raises ``Unavailable``.
    """
    configured = descriptors.get("clip")
    row = _active()
    if row is None:
        return configured
    return descriptors.get_clip(row.version, row.model, row.pretrained)


def written(match_type: str) -> list[Descriptor]:
    """Return the models of a match type whose vectors new images get; none if it is not available.

    While a new CLIP model is filling, searches use the active one, so new images get both
    vectors.
    """
    if not descriptors.available(match_type):
        return []
    configured = descriptors.get(match_type)
    if match_type != "clip":
        return [configured]
    try:
        used = searched()
    except Unavailable:
        return [configured]
    if used.version == configured.version:
        return [configured]
    # This process still has the settings from before a switch.
    if ClipVersion.objects.filter(version=configured.version, state=State.REPLACED).exists():
        return [used]
    return [configured, used]


def _active() -> ClipVersion | None:
    global _cached
    until, row = _cached
    if row is None or time.monotonic() > until:
        row = ClipVersion.objects.filter(state=ClipVersion.State.ACTIVE).first()
        _cached = (time.monotonic() + _CACHE_SECONDS, row)
    return row


def note(columns: ColumnsByVersion) -> None:
    """Register the CLIP models that made these columns, before they are stored."""
    for version, values in columns.items():
        if "clip" in values:
            register(version, len(values["clip"]))


def register(version: str, dimensions: int) -> ClipVersion:
    """Record that vectors of the configured model exist: active if it is the first, or filling."""
    found = ClipVersion.objects.filter(version=version).first()
    if found is not None:
        return found
    with transaction.atomic(), connection.cursor() as cursor:
        # Two workers that meet a new model at once must not both make it active.
        cursor.execute("LOCK TABLE gallery_clipversion IN SHARE ROW EXCLUSIVE MODE")
        found = ClipVersion.objects.filter(version=version).first()
        if found is not None:
            return found
        first = not ClipVersion.objects.filter(state=ClipVersion.State.ACTIVE).exists()
        row = ClipVersion.objects.create(
            version=version,
            model=settings.CLIP_MODEL,
            pretrained=settings.CLIP_PRETRAINED,
            dimensions=dimensions,
            state=ClipVersion.State.ACTIVE if first else ClipVersion.State.FILLING,
        )
        if first:
            cursor.execute(create_index(row))
        return row


def begin(version: str) -> None:
    """Prepare a version that is not searched for being filled: its index grows with its rows.

    A version that was replaced is filled again. Raises ``Conflict``.
    """
    ClipVersion.objects.filter(version=version, state=State.REPLACED).update(
        state=State.FILLING, replaced_at=None
    )
    for row in ClipVersion.objects.filter(version=version, state=State.FILLING):
        _build_index(row)


def activate(version: str) -> None:
    """Make a filled version the one that searches read. The others are replaced.

    The index is complete before the switch, which is one transaction. Raises
    ``ClipVersion.DoesNotExist`` and ``Conflict``.
    """
    global _cached
    row = ClipVersion.objects.get(version=version)
    _build_index(row)
    with transaction.atomic():
        rows = ClipVersion.objects.select_for_update().order_by("pk")
        others = [
            other.pk for other in rows if other.pk != row.pk and other.state != State.REPLACED
        ]
        ClipVersion.objects.filter(pk__in=others).update(state=State.REPLACED, replaced_at=Now())
        ClipVersion.objects.filter(pk=row.pk).update(state=State.ACTIVE, replaced_at=None)
    _cached = (0.0, None)


def drop_replaced() -> int:
    """Delete the vectors and indexes of versions that were replaced ``GRACE`` seconds ago.

    Each batch is committed, so that nothing waits long and the next call goes on. Returns the
    number of deleted rows. Raises ``Conflict``.
    """
    due = ClipVersion.objects.filter(
        state=State.REPLACED, replaced_at__lte=Now() - timedelta(seconds=GRACE)
    )
    deleted = 0
    for row in due:
        with only_one(Lock.VECTOR_INDEXES, BUSY), connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(row.version)}")
        deleted += _delete_rows(row)
        if due.filter(pk=row.pk).exists():
            version_replaced.send(ClipVersion, version=row.version)
            due.filter(pk=row.pk).delete()
    return deleted


def _delete_rows(row: ClipVersion) -> int:
    deleted = last = 0
    while True:
        rows = ImageFingerprint.objects.filter(version=row.version, pk__gt=last).order_by("pk")
        ids = list(rows.values_list("pk", flat=True)[:ROWS_PER_BATCH])
        with transaction.atomic():
            # It may be wanted again.
            same = ClipVersion.objects.select_for_update().filter(pk=row.pk, state=State.REPLACED)
            if not ids or not same.exists():
                return deleted
            ImageFingerprint.objects.filter(pk__in=ids).delete()
        deleted, last = deleted + len(ids), ids[-1]


def _build_index(row: ClipVersion) -> None:
    """Build the index without blocking writes, unless there is one. Raises ``Conflict``."""
    name = index_name(row.version)
    with only_one(Lock.VECTOR_INDEXES, BUSY), connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)::oid", [name]
        )
        found = cursor.fetchone()
        if found == (True,):
            return
        if found:
            # The process that built it was ended.
            cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
        vectors = ImageFingerprint.objects.filter(version=row.version).count()
        with vector_indexes.memory_to_build(vectors, f"halfvec({row.dimensions})"):
            cursor.execute(create_index(row, "CONCURRENTLY"))


def index_name(version: str) -> str:
    return f"imagefingerprint_clip_{zlib.crc32(version.encode()):08x}"


def create_index(row: ClipVersion, how: str = "") -> str:
    """Return the statement that makes the index of a version's vectors."""
    literal = row.version.replace("'", "''")
    return (
        f"CREATE INDEX {how} IF NOT EXISTS {index_name(row.version)} ON gallery_imagefingerprint "
        f"USING hnsw ((clip::halfvec({row.dimensions})) halfvec_cosine_ops) "
        f"WITH (ef_construction = 128) WHERE version = '{literal}'"
    )
