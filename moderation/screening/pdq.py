"""Find items with a PDQ hash near to a frame's: every one, checked against the current rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.pdq import LOW_QUALITY
from moderation.lists import banned_hashes
from moderation.lists.hash_index import BITS, pack
from moderation.lists.models import BannedHash
from moderation.lists.policies import Policies, farthest, using
from moderation.lists.thresholds import Thresholds
from moderation.screening.types import ContentFrame, ItemMatch
from moderation.screening.verdict_rules import RECORDED_EACH

MANY: Final = 500
"""Hits of which all are read as models."""


def matches(
    frames: Sequence[ContentFrame], policies: Policies, enough: int | None = None
) -> list[ItemMatch]:
    """Return the nearest match for each item hash and frame, up to the near-miss thresholds.

    With ``enough``, matches may be left out that no verdict depends on and that are not among the
    ``enough`` most important ones (``verdict_rules``).
    """
    lists = using(policies, "pdq")
    queries = [hash for frame in frames for hash in frame.hashes]
    if not lists or not queries:
        return []
    owners = np.repeat(np.arange(len(frames)), [len(frame.hashes) for frame in frames])
    hits = banned_hashes.near(queries, min(BITS, int(farthest(lists.values()))))
    numbers = np.unique(hits["item"] * len(frames) + owners[hits["query"]])
    pairs = np.stack(np.divmod(numbers, len(frames)), axis=1)
    if enough is not None and len(pairs) > MANY:
        pairs = _most_important(pairs, frames, lists, enough)
    rows = BannedHash.objects.live(pairs[:, 0].tolist(), lists)
    found = []
    for pk, number in pairs.tolist():
        if pk not in rows:
            continue
        row, frame = rows[pk], frames[number]
        # Measure again: the index may have an old version of the row.
        differing, way = nearest(frame.hashes, row.value)
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


def _most_important(
    pairs: NDArray[np.int64],
    frames: Sequence[ContentFrame],
    lists: Mapping[int, Thresholds],
    enough: int,
) -> NDArray[np.int64]:
    """Return those of the pairs of hash and frame that may decide or be recorded.

    Matches of one list that are alike in everything that a verdict depends on have the verdict of
    the nearest of them, so the nearest ``enough`` stand for all. Of a video, three pictures must
    match, so all its items stay. Of each item the nearest ``RECORDED_EACH`` are enough.
    """
    rows = banned_hashes.matched(pairs[:, 0], lists)
    pairs = pairs[np.isin(pairs[:, 0], rows["id"])]
    rows = rows[np.searchsorted(rows["id"], pairs[:, 0])]
    hashes = np.ascontiguousarray(rows["hash"]).view(np.uint64)
    distances = np.empty(len(pairs), np.int64)
    for number, frame in enumerate(frames):
        own = pairs[:, 1] == number
        distances[own] = np.min(
            [
                np.bitwise_count(hashes[own] ^ one).sum(1)
                for one in pack(frame.hashes).view(np.uint64)
            ],
            axis=0,
            initial=BITS,
        )
    farthest_of = np.vectorize(lambda pk: lists[pk].near_miss, otypes=[float])
    kept = np.flatnonzero(distances <= farthest_of(rows["list"]))
    alike = np.stack([pairs[:, 1], rows["list"], rows["kind"]], axis=1)
    each = np.column_stack([alike, rows["item"]])
    kept = kept[_ranks(each[kept], distances[kept]) < RECORDED_EACH]
    place = _ranks(alike[kept], distances[kept])
    important = kept[(place < enough) | rows["is_video"][kept]]
    return np.asarray(pairs[important])


def _ranks(groups: NDArray[np.int64], distances: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the place of each row within its group, 0 for the nearest."""
    order = np.lexsort((distances, *groups.T))
    starts = np.flatnonzero(np.any(np.diff(groups[order], axis=0, prepend=-1), axis=1))
    first = np.repeat(starts, np.diff(starts, append=len(order)))
    places = np.empty(len(order), np.intp)
    places[order] = np.arange(len(order)) - first
    return places


def nearest(queries: Sequence[bytes], value: str) -> tuple[int, int]:
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
