"""What is already here and looks like some items by its vectors: every stored one is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging import geometry
from gallery.imaging.descriptors.base import COPY_VERSION
from gallery.imaging.local_features import Features
from gallery.items import versions
from gallery.search.candidates import local_features
from gallery.shared.binary_copy import BIGINT, halfvec, read_rows
from gallery.shared.errors import Unavailable
from moderation.lists.item_vectors import unit
from moderation.lists.models import BannedFingerprint
from moderation.screening.matching import as_array
from videos.models import FRAME_VERSION

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

STORED: Final = 10_000
"""Stored vectors in memory at a time: 80 MB with all that is computed of them."""

TOGETHER: Final = 256
"""Vectors of items that are looked for at a time."""

VERIFIED: Final = 50
"""Pictures that are verified for each vector of an item: the nearest that are not alike."""

ALIKE: Final = 0.3
"""Cosine distance up to which a picture is a suspect whatever its local features say."""

PLACES: Final = 6
"""Places that must agree for one that is farther away; a copy has many more."""

_IMAGES, _FRAMES = "gallery_imagefingerprint", "videos_frame"


@dataclass
class Suspects:
    """Ids of images and of videos."""

    images: set[int] = field(default_factory=set)
    videos: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.images) + len(self.videos)

    def __ior__(self, others: Suspects) -> Suspects:
        self.images |= others.images
        self.videos |= others.videos
        return self


def copies(ids: Sequence[int], tick: Callable[[], None]) -> Suspects:
    """By ``copy``: what is alike as a whole, and of the nearest that are not what shares places.

    Of the pictures of videos no local features are stored: only those that are alike are found.
    ``tick`` is called every few seconds.
    """
    found = Suspects()
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


def like_clip(ids: Sequence[int], threshold: float, tick: Callable[[], None]) -> Suspects:
    """By ``clip``: everything up to the threshold; nothing where the model is not available."""
    found = Suspects()
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
    """The items nearest to each of some vectors, of those that are added and are not alike."""

    def __init__(self, vectors: int) -> None:
        self._items = np.empty((0, vectors), np.int64)
        self._distances = np.empty((0, vectors), np.float32)

    def add(self, items: Ids, distances: Floats) -> None:
        """``distances``: items × vectors."""
        farther = np.where(distances <= ALIKE, np.float32(3.0), distances)
        every = np.concatenate([self._distances, farther])
        wide = np.broadcast_to(items[:, np.newaxis], distances.shape)
        ids = np.concatenate([self._items, wide])
        if len(every) > VERIFIED:
            best = np.argpartition(every, VERIFIED - 1, axis=0)[:VERIFIED]
            every, ids = np.take_along_axis(every, best, 0), np.take_along_axis(ids, best, 0)
        self._distances, self._items = every, ids

    def items(self) -> list[set[int]]:
        """For each vector."""
        return [set(column) for column in self._items.T.tolist()]


def _vectors_of(ids: Sequence[int], column: str, version: str) -> Iterator[list[BannedFingerprint]]:
    """The pictures of items, a few at a time."""
    rows = BannedFingerprint.objects.filter(
        item__in=ids, version=version, **{f"{column}__isnull": False}
    )
    last = 0
    while some := list(rows.filter(pk__gt=last).defer("pattern").order_by("pk")[:TOGETHER]):
        yield some
        last = some[-1].pk


def _measured(
    table: str, column: str, version: str, queries: Floats
) -> Iterator[tuple[Ids, Floats]]:
    """Items, and the cosine distances of their pictures to the queries, in parts."""
    kind, last = halfvec(queries.shape[1]), 0
    turned = np.ascontiguousarray(unit(queries).T)
    while True:
        rows = read_rows(
            f"SELECT id, item_id, {column} FROM {table} WHERE id > %(last)s "  # noqa: S608
            f"AND {column} IS NOT NULL AND version = %(version)s ORDER BY id LIMIT %(rows)s",
            {"last": last, "version": version, "rows": STORED},
            {"id": BIGINT, "item": BIGINT, "vector": kind},
        )
        if not len(rows):
            return
        last = int(rows["id"][-1])
        yield rows["item"].astype(np.int64), 1.0 - unit(rows["vector"]["values"]) @ turned


def _verified(row: BannedFingerprint, images: set[int]) -> set[int]:
    """Those of some images that share places with an item's picture."""
    packed = local_features(sorted(images))
    if not row.features or not packed:
        return set()
    matches = geometry.verify_many(Features.unpack(bytes(row.features)), list(packed.values()))
    return {
        image
        for image, match in zip(packed, matches, strict=True)
        if match is not None and match.inliers >= PLACES
    }
