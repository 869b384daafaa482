"""Find items with a PDQ hash near to a frame's: every one, checked against the current rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gallery.imaging.descriptors.pdq import LOW_QUALITY
from moderation.lists import banned_hashes
from moderation.lists.hash_index import BITS, pack
from moderation.lists.models import BannedHash
from moderation.lists.policies import Policies, farthest, using
from moderation.screening.types import ContentFrame, ItemMatch


def matches(frames: Sequence[ContentFrame], policies: Policies) -> list[ItemMatch]:
    """Return the nearest match for each item hash and frame, up to the near-miss thresholds."""
    lists = using(policies, "pdq")
    queries = [hash for frame in frames for hash in frame.hashes]
    if not lists or not queries:
        return []
    owners = np.repeat(np.arange(len(frames)), [len(frame.hashes) for frame in frames])
    hits = banned_hashes.near(queries, min(BITS, int(farthest(lists.values()))))
    pairs = {(int(hit["item"]), int(owners[hit["query"]])) for hit in hits}
    rows = BannedHash.objects.live({pk for pk, _ in pairs}, lists)
    found = []
    for pk, number in sorted(pairs):
        if pk not in rows:
            continue
        row, frame = rows[pk], frames[number]
        # Measure again: the index may have an old version of the row.
        differing, way = _nearest(frame.hashes, row.value)
        distance = float(differing)
        if not lists[row.item.list_id].recorded_at(distance):
            continue
        good = row.quality is None or row.quality >= LOW_QUALITY
        match = ItemMatch.of(
            row.item,
            policies,
            "pdq",
            distance,
            frame=frame,
            # A hash that a client sent may have no quality.
            sure=good and (frame.quality or 0) >= LOW_QUALITY,
            item_quality=row.quality,
            item_time_ms=row.time_ms,
            item_place=row.pk,
            geometry=_turned(frame, way),
        )
        found.append(match)
    return found


def _nearest(queries: Sequence[bytes], value: str) -> tuple[int, int]:
    """Return how many bits the nearest hash differs in, and its number."""
    differing = np.bitwise_count(pack(queries) ^ pack([bytes.fromhex(value)])).sum(axis=1)
    way = int(differing.argmin())
    return int(differing[way]), way


_CORNERS: Final = ((0, 0), (1, 0), (1, 1), (0, 1))
_UPRIGHT: Final = (False, 0.0, lambda x, y: (x, y))
_WAYS: Final = (
    None,
    (False, 90.0, lambda x, y: (y, 1 - x)),
    (False, 180.0, lambda x, y: (1 - x, 1 - y)),
    (False, -90.0, lambda x, y: (1 - y, x)),
    (True, 180.0, lambda x, y: (x, 1 - y)),
    (True, 0.0, lambda x, y: (1 - x, y)),
    (True, 90.0, lambda x, y: (y, x)),
    (True, -90.0, lambda x, y: (1 - y, 1 - x)),
)
"""In the order of ``dihedral_hashes``: whether the frame shows the item mirrored, how far turned
(as ``GeometricMatch`` says it), and where a point of the frame is in the item. None: as it is."""


def _turned(frame: ContentFrame, way: int) -> dict[str, Any] | None:
    """Say how the frame, all of which shows the item, was turned and mirrored. None: it was not,
    and it is all that is on the screen."""
    # The frame of a stored video has its own hash first, then the eight of its small copy.
    further = len(frame.hashes) - len(_WAYS)
    turned = _WAYS[max(0, way - further)] if further >= 0 else None
    if turned is None:
        if frame.part is None:
            return None
        turned = _UPRIGHT
    mirrored, rotation, place = turned
    return {
        "mirrored": mirrored,
        "rotation": rotation,
        "border": frame.part is not None,
        "query_region": [list(map(float, corner)) for corner in _CORNERS],
        "candidate_region": [list(map(float, place(*corner))) for corner in _CORNERS],
    }
