"""What is already here and may match some items: every stored hash and vector is compared, but for
``imgsmlr``, which asks the index of the gallery's own searches.

Each of these is then screened like a new upload, which is far more work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from django.db import models
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import HASHES_VERSION, PIXELS_VERSION
from gallery.imaging.descriptors.pdq import LOW_QUALITY, TURNED_ERROR, turned
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.items.vectors import encode
from gallery.search.nearest import nearest
from gallery.shared.binary_copy import BIGINT, read_rows
from moderation.lists import hash_index
from moderation.lists.list_policies import Policy
from moderation.lists.models import BannedFingerprint, BannedHash, BannedItem
from moderation.lists.verdicts import HASH_TYPES
from moderation.screening import edited_copies, vector_candidates
from moderation.screening.matching import as_array
from moderation.screening.vector_candidates import Suspects
from videos.models import FRAME_VERSION, ScreenedHashes, Video
from videos.screened import RECORD

SCREENED: Final = (Status.READY, Status.QUARANTINED)
"""What was published or held; what is pending meets the gate. One that is held may be released."""

ROWS: Final = 200_000
"""Stored hashes in memory at a time."""

SCREENED_ROWS: Final = 20
"""Of up to 4,000 hashes each, that are read at a time."""

QUERIES: Final = 512
"""Hashes that are looked for at a time: about a second."""

_HASH: Final = {
    "id": BIGINT,
    "item": BIGINT,
    "pdq": np.dtype([("bits", ">i4"), ("hash", "u1", (hash_index.BYTES,))]),
}

NEAREST_PATTERNS: Final = 50
"""Pictures that the index proposes for each pattern of an item."""


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
        found |= vector_candidates.copies(ids, tick)
    if "clip" in policy.reach:
        found |= vector_candidates.like_clip(ids, policy.reach["clip"].threshold, tick)
    if "imgsmlr" in policy.reach:
        _near_patterns(ids, policy.reach["imgsmlr"].threshold, found)
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
    # The negative of a picture has the complement of its hash.
    others += [_complement(hash) for hash in (*own, *others)]
    reach = min(hash_index.BITS, threshold + TURNED_ERROR)
    edited = max(
        threshold, edited_copies.reach(edited_copies.STORED, edited_copies.share(threshold))
    )
    for parts, into in (
        (_stored_hashes("gallery_imagefingerprint", PIXELS_VERSION), found.images),
        (_stored_hashes("gallery_imagefingerprint", HASHES_VERSION), found.images),
        (_stored_hashes("videos_frame", FRAME_VERSION), found.videos),
        (_screened_hashes(), found.videos),
    ):
        for items, hashes in parts:
            for queries, within in ((own, edited), (others, reach)):
                for start in range(0, len(queries), QUERIES):
                    some = queries[start : start + QUERIES]
                    hits = hash_index.scan(items, hashes, some, min(within, hash_index.BITS))
                    into.update(hits["item"].tolist())
                    tick()


def _complement(hash: bytes) -> bytes:
    return bytes(255 - byte for byte in hash)


_Hashes = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Items, and n × 32 bytes."""


def _screened_hashes() -> Iterator[_Hashes]:
    """What videos show beside their frames, in parts."""
    rows = ScreenedHashes.objects.order_by("pk").values_list("item", "packed")
    for item, packed in rows.iterator(chunk_size=SCREENED_ROWS):
        hashes = np.frombuffer(bytes(packed), RECORD)["hash"]
        yield np.full(len(hashes), item, np.int64), np.ascontiguousarray(hashes)


def _stored_hashes(table: str, version: str) -> Iterator[_Hashes]:
    """Every picture whose hash can be relied upon, in parts."""
    last = 0
    while True:
        rows = read_rows(
            f"SELECT id, item_id, pdq FROM {table} WHERE id > %(last)s AND pdq IS NOT NULL "  # noqa: S608
            "AND pdq_quality >= %(quality)s AND version = %(version)s ORDER BY id LIMIT %(rows)s",
            {"last": last, "quality": LOW_QUALITY, "version": version, "rows": ROWS},
            _HASH,
        )
        if not len(rows):
            return
        yield rows["item"].astype(np.int64), np.ascontiguousarray(rows["pdq"]["hash"])
        last = int(rows["id"][-1])


def _near_patterns(ids: Sequence[int], threshold: float, found: Suspects) -> None:
    """By imgsmlr, as a search of the gallery would find them."""
    rows = BannedFingerprint.objects.filter(
        item__in=ids, version=PIXELS_VERSION, pattern__isnull=False, haar__isnull=False
    )
    for row in rows.iterator(chunk_size=100):
        columns = {name: encode(as_array(getattr(row, name))) for name in ("haar", "pattern")}
        matches = nearest(
            "imgsmlr", PIXELS_VERSION, columns, threshold=threshold, limit=NEAREST_PATTERNS
        )
        found.images |= {match.image.pk for match in matches}
