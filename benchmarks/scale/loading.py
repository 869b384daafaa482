"""Fills the gallery by binary COPY, and deletes and rewrites a part of it."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.truth import Truth
from benchmarks.scale.world import CLIP_DIMENSIONS, Rows, World

if TYPE_CHECKING:  # it needs Django's settings
    from gallery.items.vector_indexes import HnswIndex

CLIP_VERSION = "clip/benchmark/like-clip/fp32"
TABLES = ("gallery_image", "gallery_imagefingerprint", "gallery_imagedetail")
CHUNK = 1000
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"


def register() -> None:
    from gallery.items import versions

    versions.register(CLIP_VERSION, CLIP_DIMENSIONS)


def load(world: World, count: int, truth: Truth) -> tuple[float, list[HnswIndex]]:
    """Empty the gallery and fill it without indexes of vectors. Return the seconds, and those
    indexes."""
    from django.db import connection

    from gallery.items.vector_indexes import hnsw_indexes

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE gallery_image RESTART IDENTITY CASCADE")
        indexes = [one for one in hnsw_indexes() if one.table == "gallery_imagefingerprint"]
        for index in indexes:
            cursor.execute(f"DROP INDEX {index.name}")
        loading, first = 0.0, 1
        while first <= count:
            rows = world.take(min(CHUNK, count + 1 - first))
            loading += insert(world, first, rows)
            truth.add(first, rows)
            first += len(rows)
            if first // 50_000 > (first - len(rows)) // 50_000:
                print(f"{first - 1:,} images loaded in {loading:.0f} s", flush=True)
        started = time.perf_counter()
        cursor.execute(
            "VACUUM ANALYZE gallery_image, gallery_imagefingerprint, gallery_imagedetail"
        )
    return loading + time.perf_counter() - started, indexes


def build(index: HnswIndex, count: int) -> float:
    """Return the seconds."""
    from django.db import connection

    from gallery.items.vector_indexes import memory_to_build

    started = time.perf_counter()
    with memory_to_build(count, index.kind), connection.cursor() as cursor:
        cursor.execute(index.definition)
    return time.perf_counter() - started


def rewrite(world: World, count: int, truth: Truth) -> tuple[float, float]:
    """Delete every tenth image, and add as many others. Return the seconds of both."""
    from django.db import connection

    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM gallery_imagedetail d USING gallery_imagefingerprint f "
            "WHERE f.id = d.fingerprint_id AND f.item_id %% 10 = 0 AND f.item_id <= %s",
            [count],
        )
        for table, key in (("gallery_imagefingerprint", "item_id"), ("gallery_image", "id")):
            cursor.execute(f"DELETE FROM {table} WHERE {key} %% 10 = 0 AND {key} <= %s", [count])
    deleting = time.perf_counter() - started
    truth.forget(lambda ids: (ids % 10 == 0) & (ids <= count))
    writing, first = 0.0, count + 1
    while first <= count + count // 10:
        rows = world.take(min(CHUNK, count + count // 10 + 1 - first))
        writing += insert(world, first, rows)
        truth.add(first, rows)
        first += len(rows)
    return deleting, writing


def insert(world: World, first: int, rows: Rows) -> float:
    """Store images; image ``n`` has the fingerprints 3n to 3n + 2. Return the seconds."""
    from django.db import connection, transaction

    from gallery.imaging.descriptors import stored_patterns
    from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
    from gallery.shared.binary_copy import write_rows

    ids = np.arange(first, first + len(rows))
    features = [world.real.features[at] for at in rows.like]
    started = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO gallery_image (id, md5, sha1, sha256, format, width, height, bytes, "
            "original, thumbnail, keep_original, status, failure, attempts, added_by, created_at) "
            "SELECT n, md5(n::text), '', md5(n::text) || md5(n::text), 'jpeg', 640, 480, 1, '', "
            "'scale/' || shown || '.jpg', false, 'ready', '', 0, 'benchmark', now() "
            "FROM unnest(%s, %s) AS t(n, shown)",
            [ids.tolist(), rows.like.tolist()],
        )
        quality = np.full(len(rows), 100)
        _copy(
            cursor, 3 * ids, ids, PIXELS_VERSION, haar=rows.haar, pdq=rows.bits, pdq_quality=quality
        )
        _copy(cursor, 3 * ids + 1, ids, COPY_VERSION, cnn=rows.cnn)
        _copy(cursor, 3 * ids + 2, ids, CLIP_VERSION, clip=rows.clip)
        codes, errors = stored_patterns.encoded(rows.pattern)
        patterns = map(stored_patterns.pack, codes, errors.tolist())
        each = zip((3 * ids).tolist(), patterns, strict=True)
        write_rows("gallery_imagedetail", "fingerprint_id, pattern", each)
        packed = zip((3 * ids + 1).tolist(), features, strict=True)
        write_rows("gallery_imagedetail", "fingerprint_id, local_features", packed)
    return time.perf_counter() - started


def _copy(
    cursor: Any, ids: NDArray[Any], items: NDArray[Any], version: str, **columns: NDArray[Any]
) -> None:
    """Insert fingerprints of one version."""
    fields: list[tuple[str, NDArray[Any] | bytes]] = [
        ("id", ids.astype(">i8")),
        ("item_id", items.astype(">i8")),
        ("view", b"full"),
        ("version", version.encode()),
    ]
    fields += [(name, _binary(name, values)) for name, values in columns.items()]
    kinds: list[Any] = [("fields", ">i2")]
    for name, values in fields:
        kind = f"S{len(values)}" if isinstance(values, bytes) else values.dtype
        kinds += [(f"size of {name}", ">i4"), (name, kind)]
    rows = np.zeros(len(ids), kinds)
    rows["fields"] = len(fields)
    for name, values in fields:
        rows[f"size of {name}"] = rows.dtype[name].itemsize
        rows[name] = values
    out = io.BytesIO(HEADER + rows.tobytes() + END)
    names = ", ".join(name for name, _ in fields)
    cursor.copy_expert(f"COPY gallery_imagefingerprint ({names}) FROM STDIN (FORMAT binary)", out)


def _binary(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return values as PostgreSQL's types are sent."""
    from gallery.shared.binary_copy import BITS_256, halfvec, vector

    if name == "pdq_quality":
        return values.astype(">i2")
    width = values.shape[1]
    kind = {"haar": vector(16), "pdq": BITS_256}.get(name) or halfvec(width)
    out = np.zeros(len(values), kind)
    out["values"] = values
    if name == "pdq":
        out["head"] = 256
    else:
        out["head"][:, 0] = width
    return out
