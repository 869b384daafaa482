"""Which models' vectors are stored, and which CLIP model searches use.

The first model is active at once. The vectors of a model configured later are filled while the
old model serves searches; ``activate`` then builds its index and makes it active.
"""

from __future__ import annotations

import time
import zlib

from django.conf import settings
from django.db import connection, transaction

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import ColumnsByVersion, Descriptor
from gallery.items import vector_indexes
from gallery.items.models import ClipVersion, ImageFingerprint
from gallery.shared.errors import Unavailable

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
    return [configured] if used.version == configured.version else [configured, used]


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
            cursor.execute(_create_index(row))
        return row


def activate(version: str) -> None:
    """Make a filled version the one that searches read, and delete the old one's vectors.

    The index is built before the switch. The old vectors are deleted after all processes have
    noticed the switch. Raises ``ClipVersion.DoesNotExist``.
    """
    row = ClipVersion.objects.get(version=version)
    vectors = ImageFingerprint.objects.filter(version=version, clip__isnull=False).count()
    with (
        vector_indexes.memory_to_build(vectors, f"halfvec({row.dimensions})"),
        connection.cursor() as cursor,
    ):
        cursor.execute(_create_index(row))
    with transaction.atomic():
        old = list(ClipVersion.objects.select_for_update().exclude(pk=row.pk))
        ClipVersion.objects.filter(pk__in=[other.pk for other in old]).delete()
        ClipVersion.objects.filter(pk=row.pk).update(state=ClipVersion.State.ACTIVE)
    if old:
        time.sleep(_CACHE_SECONDS)
    for other in old:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX IF EXISTS {_index_name(other.version)}")
        ImageFingerprint.objects.filter(version=other.version).delete()


def _index_name(version: str) -> str:
    return f"imagefingerprint_clip_{zlib.crc32(version.encode()):08x}"


def _create_index(row: ClipVersion) -> str:
    literal = row.version.replace("'", "''")
    return (
        f"CREATE INDEX IF NOT EXISTS {_index_name(row.version)} ON gallery_imagefingerprint "
        f"USING hnsw ((clip::halfvec({row.dimensions})) halfvec_cosine_ops) "
        f"WITH (ef_construction = 128) WHERE version = '{literal}'"
    )
