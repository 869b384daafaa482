"""Find the candidates of a rescan: stored images and videos that may match some items.

Every stored hash and vector is compared, except that ``imgsmlr`` uses PostgreSQL's index of the
gallery. Each candidate is then screened like a new upload, which is far more work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from django.db import models
from numpy.typing import NDArray

from gallery.imaging import geometry
from gallery.imaging.descriptors.base import COPY_VERSION, HASHES_VERSION, PIXELS_VERSION
from gallery.imaging.descriptors.pdq import LOW_QUALITY, TURNED_ERROR, turned_hashes
from gallery.imaging.local_features import LocalFeatures
from gallery.items import versions
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.search.copy_candidates import stored_local_features
from gallery.search.nearest import nearest_images
from gallery.search.vector_index import PGVECTOR
from gallery.shared.binary_copy import BIGINT, halfvec, read_rows
from gallery.shared.errors import Unavailable
from moderation.lists import hash_index
from moderation.lists.item_vectors import as_array, unit
from moderation.lists.models import BannedFingerprint, BannedHash, BannedItem
from moderation.lists.policies import Policy
from moderation.lists.verdicts import HASH_TYPES
from moderation.screening import edited_copies
from videos.models import FRAME_VERSION, ScreenedHashes, Video
from videos.screened import RECORD

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

STORED_VECTORS: Final = 10_000
"""Stored vectors in memory at a time: 80 MB with all intermediate results."""

QUERY_VECTORS: Final = 256

VERIFIED: Final = 50
"""Pictures verified for each vector of an item: the nearest that are farther than ``ALIKE``."""

ALIKE: Final = 0.3
"""Cosine distance up to which a picture is a candidate, whatever its local features are."""

LEAST_INLIERS: Final = 6
"""Local features that must agree if the picture is farther away. A copy has many more."""

_IMAGES, _FRAMES = "gallery_imagefingerprint", "videos_frame"


@dataclass
class Candidates:
    """Ids of images and of videos."""

    images: set[int] = field(default_factory=set)
    videos: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.images) + len(self.videos)

    def __ior__(self, others: Candidates) -> Candidates:
        self.images |= others.images
        self.videos |= others.videos
        return self


SCREENED: Final = (Status.READY, Status.QUARANTINED)
"""Published or quarantined. A quarantined item may be released; the gate screens pending items."""

STORED_HASHES: Final = 200_000

SCREENED_ROWS: Final = 20
"""Rows of up to 4,000 hashes each that are read at a time."""

QUERY_HASHES: Final = 512
"""Hashes of items that are compared at a time, which takes about a second."""

_HASH: Final = {
    "id": BIGINT,
    "item": BIGINT,
    "pdq": np.dtype([("bits", ">i4"), ("hash", "u1", (hash_index.BYTES,))]),
}

NEAREST_PATTERNS: Final = 50
"""Pictures that the index returns for each pattern of an item."""


def of_items(
    items: Sequence[BannedItem], policy: Policy, tick: Callable[[], None] = lambda: None
) -> Candidates:
    """Return the stored images and videos that may match items of one list within its thresholds.

    ``tick`` is called every few seconds, because a video has thousands of hashes.
    """
    found = Candidates()
    ids = [item.pk for item in items]
    _same_files(ids, found)
    if "pdq" in policy.thresholds:
        _like_hashes(ids, int(policy.thresholds["pdq"].threshold), found, tick)
    if "copy" in policy.thresholds:
        found |= copies(ids, tick)
    if "clip" in policy.thresholds:
        found |= like_clip(ids, policy.thresholds["clip"].threshold, tick)
    if "imgsmlr" in policy.thresholds:
        _near_patterns(ids, policy.thresholds["imgsmlr"].threshold, found)
    return Candidates(
        _screened(Image.objects.all(), found.images), _screened(Video.objects.all(), found.videos)
    )


def _screened(rows: models.QuerySet[Any], ids: Iterable[int]) -> set[int]:
    chosen = rows.filter(pk__in=list(ids), status__in=SCREENED).order_by()
    return set(chosen.values_list("pk", flat=True))


def _same_files(ids: Sequence[int], found: Candidates) -> None:
    for kind in HASH_TYPES:
        values = BannedHash.objects.filter(item__in=ids, kind=kind).values_list("value", flat=True)
        if values:
            same: dict[str, Any] = {f"{kind}__in": list(values)}
            found.images |= set(Image.objects.filter(**same).values_list("pk", flat=True))
            found.videos |= set(Video.objects.filter(**same).values_list("pk", flat=True))


def _like_hashes(
    ids: Sequence[int], threshold: int, found: Candidates, tick: Callable[[], None]
) -> None:
    rows = BannedHash.objects.filter(item__in=ids, kind="pdq").values_list("value", flat=True)
    own = [bytes.fromhex(value) for value in rows]
    if not own:
        return
    others = [other for hash in own for other in turned_hashes(hash)[1:]]
    # The negative of a picture has the complement of its hash.
    others += [_complement(hash) for hash in (*own, *others)]
    reach = min(hash_index.BITS, threshold + TURNED_ERROR)
    edited = max(threshold, edited_copies.stored_reach(threshold))
    for parts, into in (
        (_stored_hashes("gallery_imagefingerprint", PIXELS_VERSION), found.images),
        (_stored_hashes("gallery_imagefingerprint", HASHES_VERSION), found.images),
        (_stored_hashes("videos_frame", FRAME_VERSION), found.videos),
        (_screened_hashes(), found.videos),
    ):
        for items, hashes in parts:
            for queries, within in ((own, edited), (others, reach)):
                for start in range(0, len(queries), QUERY_HASHES):
                    some = queries[start : start + QUERY_HASHES]
                    hits = hash_index.scan(items, hashes, some, min(within, hash_index.BITS))
                    into.update(hits["item"].tolist())
                    tick()


def _complement(hash: bytes) -> bytes:
    return bytes(255 - byte for byte in hash)


_Hashes = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Items, shape (n,), and hashes, shape (n, 32) bytes."""


def _screened_hashes() -> Iterator[_Hashes]:
    rows = ScreenedHashes.objects.order_by("pk").values_list("item", "packed")
    for item, packed in rows.iterator(chunk_size=SCREENED_ROWS):
        hashes = np.frombuffer(bytes(packed), RECORD)["hash"]
        yield np.full(len(hashes), item, np.int64), np.ascontiguousarray(hashes)


def _stored_hashes(table: str, version: str) -> Iterator[_Hashes]:
    """Yield every picture whose hash has sufficient quality, in parts."""
    last = 0
    while True:
        rows = read_rows(
            f"SELECT id, item_id, pdq FROM {table} WHERE id > %(last)s AND pdq IS NOT NULL "  # noqa: S608
            "AND pdq_quality >= %(quality)s AND version = %(version)s ORDER BY id LIMIT %(rows)s",
            {"last": last, "quality": LOW_QUALITY, "version": version, "rows": STORED_HASHES},
            _HASH,
        )
        if not len(rows):
            return
        yield rows["item"].astype(np.int64), np.ascontiguousarray(rows["pdq"]["hash"])
        last = int(rows["id"][-1])


def _near_patterns(ids: Sequence[int], threshold: float, found: Candidates) -> None:
    rows = BannedFingerprint.objects.filter(
        item__in=ids, version=PIXELS_VERSION, pattern__isnull=False, haar__isnull=False
    )
    for row in rows.iterator(chunk_size=100):
        columns = {name: as_array(getattr(row, name)) for name in ("haar", "pattern")}
        matches = nearest_images(
            "imgsmlr",
            PIXELS_VERSION,
            columns,
            threshold=threshold,
            limit=NEAREST_PATTERNS,
            index=PGVECTOR,
        )
        found.images |= {match.image.pk for match in matches}


def copies(ids: Sequence[int], tick: Callable[[], None]) -> Candidates:
    """Return the candidates by ``copy``: similar pictures, and near ones that share places.

    No local features of the pictures of videos are stored, so only similar ones are found. ``tick``
    is called every few seconds.
    """
    found = Candidates()
    for rows in _vectors_of(ids, "cnn", COPY_VERSION):
        queries = np.stack([as_array(row.cnn) for row in rows])
        nearest = _Nearest(len(rows))
        for items, distances in _measured(_IMAGES, "cnn", COPY_VERSION, queries):
            found.images.update(items[(distances <= ALIKE).any(axis=1)].tolist())
            nearest.add(items, distances)
            tick()
        for items, distances in _measured(_FRAMES, "cnn", FRAME_VERSION, queries):
            found.videos.update(items[(distances <= ALIKE).any(axis=1)].tolist())
            tick()
        for row, images in zip(rows, nearest.items(), strict=True):
            found.images |= _verified(row, images - found.images)
            tick()
    return found


def like_clip(ids: Sequence[int], threshold: float, tick: Callable[[], None]) -> Candidates:
    """Return the candidates by ``clip`` up to the threshold; none without the model."""
    found = Candidates()
    try:
        version = versions.searched().version
    except Unavailable:
        return found
    for rows in _vectors_of(ids, "clip", version):
        queries = np.stack([as_array(row.clip) for row in rows])
        for items, distances in _measured(_IMAGES, "clip", version, queries):
            found.images.update(items[(distances <= threshold + 1e-6).any(axis=1)].tolist())
            tick()
    return found


class _Nearest:
    """The nearest items to each of some vectors, without those that are within ``ALIKE``."""

    def __init__(self, vectors: int) -> None:
        self._items = np.empty((0, vectors), np.int64)
        self._distances = np.empty((0, vectors), np.float32)

    def add(self, items: Ids, distances: Floats) -> None:
        """``distances``: shape (items, vectors)."""
        farther = np.where(distances <= ALIKE, np.float32(3.0), distances)
        every = np.concatenate([self._distances, farther])
        wide = np.broadcast_to(items[:, np.newaxis], distances.shape)
        ids = np.concatenate([self._items, wide])
        if len(every) > VERIFIED:
            best = np.argpartition(every, VERIFIED - 1, axis=0)[:VERIFIED]
            every, ids = np.take_along_axis(every, best, 0), np.take_along_axis(ids, best, 0)
        self._distances, self._items = every, ids

    def items(self) -> list[set[int]]:
        return [set(column) for column in self._items.T.tolist()]


def _vectors_of(ids: Sequence[int], column: str, version: str) -> Iterator[list[BannedFingerprint]]:
    rows = BannedFingerprint.objects.filter(
        item__in=ids, version=version, **{f"{column}__isnull": False}
    )
    last = 0
    while some := list(rows.filter(pk__gt=last).defer("pattern").order_by("pk")[:QUERY_VECTORS]):
        yield some
        last = some[-1].pk


def _measured(
    table: str, column: str, version: str, queries: Floats
) -> Iterator[tuple[Ids, Floats]]:
    kind, last = halfvec(queries.shape[1]), 0
    turned = np.ascontiguousarray(unit(queries).T)
    while True:
        rows = read_rows(
            f"SELECT id, item_id, {column} FROM {table} WHERE id > %(last)s "  # noqa: S608
            f"AND {column} IS NOT NULL AND version = %(version)s ORDER BY id LIMIT %(rows)s",
            {"last": last, "version": version, "rows": STORED_VECTORS},
            {"id": BIGINT, "item": BIGINT, "vector": kind},
        )
        if not len(rows):
            return
        last = int(rows["id"][-1])
        yield rows["item"].astype(np.int64), 1.0 - unit(rows["vector"]["values"]) @ turned


def _verified(row: BannedFingerprint, images: set[int]) -> set[int]:
    packed = stored_local_features(sorted(images))
    if not row.features or not packed:
        return set()
    matches = geometry.verify_many(LocalFeatures.unpack(bytes(row.features)), list(packed.values()))
    return {
        image
        for image, match in zip(packed, matches, strict=True)
        if match is not None and match.inliers >= LEAST_INLIERS
    }
