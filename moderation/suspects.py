"""What is already here and may match some items: none that does is left out, save by ``copy``,
``imgsmlr`` and ``clip``, which ask the indexes of the gallery's own searches.

Each of these is then screened like a new upload, which is far more work.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from django.db import connection, models, transaction
from numpy.typing import NDArray

from gallery import geometry, versions
from gallery.candidates import local_features
from gallery.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.descriptors.pdq import LOW_QUALITY, TURNED_ERROR, turned
from gallery.errors import Unavailable
from gallery.items import Status
from gallery.local_features import Features
from gallery.models import Image
from gallery.search import nearest
from moderation import hash_index
from moderation.matching import as_text
from moderation.models import BannedFingerprint, BannedHash, BannedItem
from moderation.policies import Policy
from moderation.verdicts import HASH_TYPES
from videos.models import FRAME_VERSION, Video

SCREENED: Final = (Status.READY, Status.QUARANTINED)
"""What was published or held; what is pending meets the gate. One that is held may be released."""

ROWS: Final = 200_000
"""Stored hashes in memory at a time."""


QUERIES: Final = 512
"""Hashes that are looked for at a time: about a second."""

_ROW: Final = np.dtype(
    [
        *(("fields", ">i2"), ("id_size", ">i4"), ("id", ">i8"), ("item_size", ">i4")),
        *(("item", ">i8"), ("hash_size", ">i4"), ("bits", ">i4")),
        ("hash", "u1", (hash_index.BYTES,)),
    ]
)
"""(id, item, pdq) as ``COPY (FORMAT binary)`` sends them."""
_COPY_HEAD, _COPY_TAIL = 19, 2

COPIES: Final = 50
"""Pictures that the index proposes for each vector of an item."""

ALIKE: Final = 0.3
"""Cosine distance up to which a picture is a suspect whatever its local features say."""

PLACES: Final = 6
"""Places that must agree for one that is farther away; a copy has many more."""


@dataclass
class Suspects:
    """Ids of images and of videos."""

    images: set[int] = field(default_factory=set)
    videos: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.images) + len(self.videos)


def of_items(
    items: Sequence[BannedItem], policy: Policy, tick: Callable[[], None] = lambda: None
) -> Suspects:
    """The stored images and videos that may match items of one list within its thresholds.

    ``tick`` is called every few seconds: a video has thousands of hashes.
    """
    found = Suspects()
    ids = [item.pk for item in items]
    _same_files(ids, found)
    if "pdq" in policy.reach:
        _like_hashes(ids, int(policy.reach["pdq"].threshold), found, tick)
    if "copy" in policy.reach:
        _copies(ids, found, tick)
    for match_type in ("imgsmlr", "clip"):
        if match_type in policy.reach:
            _near(match_type, ids, policy.reach[match_type].threshold, found)
    return Suspects(
        _screened(Image.objects.all(), found.images), _screened(Video.objects.all(), found.videos)
    )


def _screened(rows: models.QuerySet[Any], ids: Iterable[int]) -> set[int]:
    chosen = rows.filter(pk__in=list(ids), status__in=SCREENED).order_by()
    return set(chosen.values_list("pk", flat=True))


def _same_files(ids: Sequence[int], found: Suspects) -> None:
    for kind in HASH_TYPES:
        values = BannedHash.objects.filter(item__in=ids, kind=kind).values_list("value", flat=True)
        if values:
            same: dict[str, Any] = {f"{kind}__in": list(values)}
            found.images |= set(Image.objects.filter(**same).values_list("pk", flat=True))
            found.videos |= set(Video.objects.filter(**same).values_list("pk", flat=True))


def _like_hashes(
    ids: Sequence[int], threshold: int, found: Suspects, tick: Callable[[], None]
) -> None:
    rows = BannedHash.objects.filter(item__in=ids, kind="pdq").values_list("value", flat=True)
    own = [bytes.fromhex(value) for value in rows]
    if not own:
        return
    others = [other for hash in own for other in turned(hash)[1:]]
    reach = min(hash_index.BITS, threshold + TURNED_ERROR)
    for table, version, into in (
        ("gallery_imagefingerprint", PIXELS_VERSION, found.images),
        ("videos_frame", FRAME_VERSION, found.videos),
    ):
        for stored in _stored_hashes(table, version):
            items = stored["item"].astype(np.int64)
            hashes = np.ascontiguousarray(stored["hash"])
            for queries, within in ((own, threshold), (others, reach)):
                for start in range(0, len(queries), QUERIES):
                    some = queries[start : start + QUERIES]
                    hits = hash_index.scan(items, hashes, some, min(within, hash_index.BITS))
                    into.update(hits["item"].tolist())
                    tick()


def _stored_hashes(table: str, version: str) -> Iterator[NDArray[np.void]]:
    """``item`` and ``hash`` of every picture whose hash can be relied upon, in parts."""
    last = 0
    while True:
        out = io.BytesIO()
        with connection.cursor() as cursor:
            cursor.copy_expert(
                f"COPY (SELECT id, item_id, pdq FROM {table} WHERE id > {last} "  # noqa: S608
                f"AND pdq IS NOT NULL AND pdq_quality >= {LOW_QUALITY} "
                f"AND version = '{version}' ORDER BY id LIMIT {ROWS}) TO STDOUT (FORMAT binary)",
                out,
            )
        rows = np.frombuffer(out.getbuffer()[_COPY_HEAD:-_COPY_TAIL], _ROW)
        if not len(rows):
            return
        yield rows
        last = int(rows["id"][-1])


def _copies(ids: Sequence[int], found: Suspects, tick: Callable[[], None]) -> None:
    rows = BannedFingerprint.objects.filter(
        item__in=ids, version=COPY_VERSION, cnn__isnull=False
    ).only("cnn", "features")
    for row in rows.iterator(chunk_size=100):
        tick()
        vector = as_text(row.cnn)
        images = _nearest("gallery_imagefingerprint", f"version = '{COPY_VERSION}'", vector)
        found.images |= {item for item, distance in images if distance <= ALIKE}
        found.images |= _verified(row, [item for item, distance in images if distance > ALIKE])
        frames = _nearest("videos_frame", f"version = '{FRAME_VERSION}' AND weight > 0", vector)
        # Their local features are not stored: only what looks alike as a whole is found.
        found.videos |= {item for item, distance in frames if distance <= ALIKE}


def _nearest(table: str, condition: str, vector: str) -> list[tuple[int, float]]:
    """Item and distance of the pictures nearest to a vector, by the table's index."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SET LOCAL hnsw.ef_search = 200; SELECT item_id, cnn <=> %(vector)s::halfvec(512) "  # noqa: S608
            f"FROM {table} WHERE {condition} AND cnn IS NOT NULL "
            f"ORDER BY cnn <=> %(vector)s::halfvec(512) LIMIT {COPIES}",
            {"vector": vector},
        )
        rows: list[tuple[int, float]] = cursor.fetchall()
    return rows


def _verified(row: BannedFingerprint, images: Sequence[int]) -> set[int]:
    """Those of some images that share places with an item's picture."""
    packed = local_features(images)
    if not row.features or not packed:
        return set()
    matches = geometry.verify_many(Features.unpack(bytes(row.features)), list(packed.values()))
    return {
        image
        for image, match in zip(packed, matches, strict=True)
        if match is not None and match.inliers >= PLACES
    }


def _near(match_type: str, ids: Sequence[int], threshold: float, found: Suspects) -> None:
    """By imgsmlr or clip, as a search of the gallery would find them."""
    try:
        version = PIXELS_VERSION if match_type == "imgsmlr" else versions.searched().version
    except Unavailable:
        return
    rows = BannedFingerprint.objects.filter(item__in=ids, version=version)
    for row in rows.iterator(chunk_size=100):
        values = {"haar": row.haar, "pattern": row.pattern, "clip": row.clip}
        columns = {name: as_text(value) for name, value in values.items() if value is not None}
        if {"imgsmlr": "pattern", "clip": "clip"}[match_type] in columns:
            matches = nearest(match_type, version, columns, threshold=threshold, limit=COPIES)
            found.images |= {match.image.pk for match in matches}
