"""Find items with a PDQ hash near to a frame's: every one, checked against the current rows."""

from __future__ import annotations

from collections.abc import Sequence

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
        distance = float(_nearest(frame.hashes, row.value))
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
        )
        found.append(match)
    return found


def _nearest(queries: Sequence[bytes], value: str) -> int:
    differing = pack(queries) ^ pack([bytes.fromhex(value)])
    return int(np.bitwise_count(differing).sum(axis=1).min())
