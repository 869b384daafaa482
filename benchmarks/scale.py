"""Searching as many images as in the original's demo: recall, latency, index sizes.

There are few described pictures, so the rest is made from them: near-duplicates and mixtures, in
clusters as in real collections. COPY loads the vectors; then the statistics are updated.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT = 70_000
QUERIES = 200
LIMIT = 10
CLIP_VERSION = "clip/benchmark/synthetic/fp32"
CLIP_DIMENSIONS = 512
MATCH_TYPES = ("imgsmlr", "pdq", "clip")
FAR = 1e9
CHUNK = 1000

Floats = NDArray[np.float32]
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Recalled:
    """``recall``: share of the first ten that are as near as the exact ten; latencies in ms."""

    recall: float
    p50: float
    p95: float
    exact_p50: float


class World:
    """Vectors of ``count`` images, and of queries near some of them."""

    def __init__(self, base: Sequence[Columns], count: int, seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        self.count = count
        self.haar = np.stack([columns["haar"] for columns in base])
        self.pattern = np.stack([columns["pattern"] for columns in base])
        # One centre per 50 images, as for photographs of the same scene.
        centres = self.random.normal(size=(max(count // 50, 1), CLIP_DIMENSIONS))
        self.clip_centres = centres.astype(np.float32)
        self.pdq_centres = self.random.integers(0, 2, (max(count // 10, 1), 256), dtype=np.uint8)

    def rows(self) -> Iterator[dict[str, Any]]:
        for _ in range(self.count):
            yield self.row()

    def row(self) -> dict[str, Any]:
        """Mix two described pictures with a little noise; add a hash and a vector near a centre."""
        a, b = self.random.integers(len(self.haar), size=2)
        share = np.float32(self.random.beta(0.4, 0.4))
        shake = self.random.normal(1, 0.03, 4096 + 16).astype(np.float32)
        hashed = self.pdq_centres[self.random.integers(len(self.pdq_centres))].copy()
        hashed[self.random.integers(0, 256, self.random.integers(0, 60))] ^= 1
        centre = self.clip_centres[self.random.integers(len(self.clip_centres))]
        clip = centre + self.random.normal(0, 0.6, CLIP_DIMENSIONS).astype(np.float32)
        return {
            "haar": (share * self.haar[a] + (1 - share) * self.haar[b]) * shake[:16],
            "pattern": (share * self.pattern[a] + (1 - share) * self.pattern[b]) * shake[16:],
            "pdq": "".join(map(str, hashed.tolist())),
            "clip": (clip / np.linalg.norm(clip)).astype(np.float32),
        }


def fill(world: World) -> tuple[float, float]:
    """Fill an empty gallery. Return the seconds of loading and of building the indexes."""
    from django.db import connection

    from gallery.items import versions

    started = time.perf_counter()
    versions.register(CLIP_VERSION, CLIP_DIMENSIONS)
    rows = world.rows()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE gallery_image RESTART IDENTITY CASCADE")
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        for first in range(1, world.count + 1, CHUNK):
            _copy(cursor, first, [row for _, row in zip(range(CHUNK), rows, strict=False)])
        loaded = time.perf_counter()
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("ANALYZE gallery_image, gallery_imagefingerprint, gallery_imagedetail")
    return loaded - started, time.perf_counter() - loaded


def _copy(cursor: Any, first: int, rows: Sequence[Columns]) -> None:
    """Image ``n`` has the fingerprints 2n − 1 (pixels) and 2n (clip)."""
    from gallery.imaging.descriptors.base import PIXELS_VERSION
    from gallery.items.vectors import encode
    from gallery.shared.binary_copy import write_rows

    cursor.execute(
        "INSERT INTO gallery_image (id, md5, sha1, sha256, format, width, height, bytes, original,"
        " thumbnail, keep_original, status, failure, attempts, added_by, created_at) "
        "SELECT n, md5(n::text), '', '', 'jpeg', 64, 64, 1, '', '', false, 'ready', '', 0, "
        "'benchmark', now() FROM generate_series(%s, %s) AS n",
        [first, first + len(rows) - 1],
    )
    lines = []
    for pk, row in enumerate(rows, first):
        haar, clip = encode(row["haar"]), encode(row["clip"])
        lines.append(f"{2 * pk - 1}\t{pk}\tfull\t{PIXELS_VERSION}\t{haar}\t{row['pdq']}\t90\t\\N")
        lines.append(f"{2 * pk}\t{pk}\tfull\t{CLIP_VERSION}\t\\N\t\\N\t\\N\t{clip}")
    cursor.copy_expert(
        "COPY gallery_imagefingerprint (id, item_id, view, version, haar, pdq, pdq_quality, clip) "
        "FROM STDIN",
        io.StringIO("\n".join(lines)),
    )
    patterns = ((2 * pk - 1, row["pattern"]) for pk, row in enumerate(rows, first))
    write_rows("gallery_imagedetail", "fingerprint_id, pattern", patterns)


def measure(world: World, queries: int = QUERIES) -> dict[str, Recalled]:
    """Compare each match type's index searches with the same exact searches."""
    from gallery.imaging.descriptors.base import PIXELS_VERSION

    asked = [world.row() for _ in range(queries)]
    found = {}
    for match_type in MATCH_TYPES:
        version = CLIP_VERSION if match_type == "clip" else PIXELS_VERSION
        found[match_type] = _compare(match_type, version, asked)
    return found


def _compare(match_type: str, version: str, asked: Sequence[Columns]) -> Recalled:
    recalls, taken, exactly = [], [], []
    for columns in asked:
        distances, milliseconds = _search(match_type, version, columns, exact=False)
        truth, exact_milliseconds = _search(match_type, version, columns, exact=True)
        # By distance, not by id, because several images may be as near as the tenth.
        recalls.append(np.mean(distances <= truth[-1] + 1e-6) if len(truth) else 1.0)
        taken.append(milliseconds)
        exactly.append(exact_milliseconds)
    p50, p95 = np.percentile(taken, [50, 95])
    return Recalled(
        float(np.mean(recalls)), float(p50), float(p95), float(np.percentile(exactly, 50))
    )


def _search(
    match_type: str, version: str, columns: Columns, *, exact: bool
) -> tuple[NDArray[np.float64], float]:
    """Return the distances of the ten nearest, and the milliseconds of the search."""
    from gallery.search.nearest import nearest_images
    from gallery.search.vector_index import EVERY_ROW, PGVECTOR

    started = time.perf_counter()
    matches = nearest_images(
        match_type,
        version,
        columns,
        threshold=FAR,
        limit=LIMIT,
        index=EVERY_ROW if exact else PGVECTOR,
    )
    milliseconds = (time.perf_counter() - started) * 1000
    return np.array([match.distance for match in matches]), milliseconds


def sizes() -> dict[str, float]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) / 2^20 FROM pg_index "
            "WHERE pg_get_indexdef(indexrelid) LIKE '%USING hnsw%' "
            "UNION ALL SELECT relname, pg_table_size(oid) / 2^20 FROM pg_class "
            "WHERE relname IN ('gallery_imagefingerprint', 'gallery_imagedetail') ORDER BY 1"
        )
        return dict(cursor.fetchall())
