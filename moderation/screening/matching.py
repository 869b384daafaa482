"""Which items of the enabled lists a subject matches: exactly, and as the rows are now.

``verdict_rules`` judges what is found here. Files are compared by their hashes, pictures by PDQ
here and by what needs their pixels in ``picture_matching``. Nothing is decided by an index that
could miss any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import Vector
from gallery.imaging.descriptors.pdq import LOW_QUALITY
from moderation.lists import banned_hashes
from moderation.lists.conf import Bounds
from moderation.lists.hash_index import BITS, pack
from moderation.lists.list_policies import Policies, farthest, using
from moderation.lists.models import BannedHash, BannedItem, BannedList
from moderation.lists.verdicts import HASH_TYPES, Verdict

CHUNK: Final = 10_000
"""Rows asked for in one query."""

SAME_FILE: Final = Bounds(0.0, 0.0)
"""Of a cryptographic hash."""

Pixels = NDArray[np.uint8]

Place = tuple[int | None, int | None, str]
"""Which picture of a subject: the frame, the time, the rendering. (None, None, "") of its file or
only picture."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One picture of a subject: height × width × 3, upright, and as imgsmlr reads it.

    ``hashes``: PDQ in all eight turns as far as known, 32 bytes each, its own first; none below
    ``LOW_QUALITY``. ``vectors``: stored ones of ``copy``; if there are none they are made.
    ``frame``: place in an animation, ``time_ms`` in a video. ``rendering``: which of the pictures
    that are there it is, "" for the usual one (``imaging.shown_pictures``). ``in_parts``: parts of
    it are looked at, too. ``hashes_only``: its pixels are there to be shown, and are compared by no
    model.
    """

    rgb: Pixels
    legacy_rgb: Pixels
    hashes: Sequence[bytes] = ()
    quality: int | None = None
    vectors: Sequence[Vector] = ()
    frame: int | None = None
    time_ms: int | None = None
    rendering: str = ""
    in_parts: bool = False
    hashes_only: bool = False

    @property
    def place(self) -> Place:
        """Where in the subject it is."""
        return self.frame, self.time_ms, self.rendering


@dataclass(frozen=True, slots=True)
class Match:
    """A subject and an item, and how far apart they are by one match type.

    ``quality`` is of the subject's PDQ, ``item_quality`` of the item's. ``sure``: what of its kind
    may block: the same file, hashes of good quality, a copy that geometry verified. ``whole``: the
    subject's picture shows nothing that the item does not show. ``item_place``: which of an
    item's pictures it is. ``geometry``: where the subject shows the item. ``rendering``: of the
    subject's picture, as a ``View`` names it. ``edit``: what was done to the item's picture, in
    words, if it is near only before that. ``suspended``: by the flood guard.
    """

    item_id: int
    list: BannedList
    match_type: str
    distance: float
    threshold: float
    observe: float
    sure: bool
    whole: bool = True
    doubted: bool = False
    suspended: bool = False
    from_video: bool = False
    source: str = ""
    quality: int | None = None
    item_quality: int | None = None
    frame: int | None = None
    time_ms: int | None = None
    item_time_ms: int | None = None
    item_place: int = 0
    geometry: Mapping[str, Any] | None = None
    rendering: str = ""
    edit: str = ""
    verdict: Verdict = Verdict.ALLOW

    @property
    def within(self) -> bool:
        """Whether it is a match, and not only near."""
        return self.distance <= self.threshold

    @property
    def place(self) -> Place:
        """Where in the subject it is."""
        return self.frame, self.time_ms, self.rendering

    @property
    def shown_by(self) -> Mapping[str, Any] | None:
        """What a case keeps of where it is seen: the geometry, and the rendering's name."""
        if not self.rendering:
            return self.geometry
        return {**(self.geometry or {}), "rendering": self.rendering}


def as_array(vector: Any) -> Vector:
    """A stored vector, as a list or as pgvector's own."""
    values = vector.to_numpy() if hasattr(vector, "to_numpy") else vector
    return np.asarray(values, np.float32)


def of_item(
    item: BannedItem,
    policies: Policies,
    match_type: str,
    distance: float,
    *,
    bounds: Bounds | None = None,
    **facts: Any,
) -> Match:
    """A match with a live item of an enabled list; ``bounds``: other than the list's own."""
    policy = policies[item.list_id]
    bounds = bounds or policy.reach.get(match_type, SAME_FILE)
    return Match(
        item_id=item.pk,
        list=policy.list,
        match_type=match_type,
        distance=distance,
        threshold=bounds.threshold,
        observe=bounds.observe,
        doubted=item.opinion == BannedItem.Opinion.DISPUTED or item.suspended_at is not None,
        suspended=item.suspended_at is not None,
        from_video=item.media == BannedItem.Media.VIDEO,
        source=item.source,
        **facts,
    )


def live_items(ids: Iterable[int], policies: Policies) -> dict[int, BannedItem]:
    """Those of some items that match at this moment, by id."""
    wanted = sorted(set(ids))
    found: dict[int, BannedItem] = {}
    for start in range(0, len(wanted), CHUNK):
        rows = BannedItem.objects.matching().filter(
            pk__in=wanted[start : start + CHUNK], list__in=list(policies)
        )
        found |= {row.pk: row for row in rows}
    return found


def by_file(hashes: Mapping[str, str], policies: Policies) -> list[Match]:
    """Items with one of these hashes of the whole file: kind (md5, sha1, sha256) → lower-case hex.

    One match for each item, by its strongest hash that agrees.
    """
    wanted = [hashes[kind] for kind in HASH_TYPES if kind in hashes]
    # Said as the index of these hashes says it.
    same = BannedHash.objects.exclude(kind="pdq").filter(value__in=wanted)
    rows = [
        row for row in same.values_list("item", "kind", "value") if hashes.get(row[1]) == row[2]
    ]
    kinds = {item: kind for item, kind, _ in sorted(rows, key=lambda row: HASH_TYPES.index(row[1]))}
    items = live_items(kinds, policies)
    return [of_item(item, policies, kinds[pk], 0.0, sure=True) for pk, item in items.items()]


def by_pdq(views: Sequence[View], policies: Policies) -> list[Match]:
    """Items with a PDQ hash near one of the views, up to what their lists record.

    The nearest match for each item's hash and view.
    """
    lists = using(policies, "pdq")
    queries = [hash for view in views for hash in view.hashes]
    if not lists or not queries:
        return []
    owners = np.repeat(np.arange(len(views)), [len(view.hashes) for view in views])
    hits = banned_hashes.near(queries, min(BITS, int(farthest(lists.values()))))
    pairs = {(int(hit["item"]), int(owners[hit["query"]])) for hit in hits}
    rows = live_hashes({pk for pk, _ in pairs}, lists)
    found = []
    for pk, number in sorted(pairs):
        if pk in rows:
            row, view = rows[pk], views[number]
            # Measured again: what was found may be of the row as it was.
            distance = _nearest(view.hashes, row.value)
            if distance <= lists[row.item.list_id].observe:
                found.append(_of_hash(row, view, float(distance), policies))
    return found


def _of_hash(row: BannedHash, view: View, distance: float, policies: Policies) -> Match:
    good = row.quality is None or row.quality >= LOW_QUALITY
    return of_item(
        row.item,
        policies,
        "pdq",
        distance,
        # Of a hash that somebody sent the quality may not be known, nor relied upon.
        sure=good and (view.quality or 0) >= LOW_QUALITY,
        quality=view.quality,
        item_quality=row.quality,
        frame=view.frame,
        time_ms=view.time_ms,
        rendering=view.rendering,
        item_time_ms=row.time_ms,
        item_place=row.pk,
    )


def live_hashes(ids: Iterable[int], lists: Iterable[int]) -> dict[int, BannedHash]:
    """Those of some rows whose items match at this moment, by id, with their items."""
    wanted = sorted(ids)
    found: dict[int, BannedHash] = {}
    for start in range(0, len(wanted), CHUNK):
        rows = BannedHash.objects.filter(
            pk__in=wanted[start : start + CHUNK],
            item__in=BannedItem.objects.matching().filter(list__in=list(lists)),
        ).select_related("item")
        found |= {row.pk: row for row in rows}
    return found


def _nearest(queries: Sequence[bytes], value: str) -> int:
    """The least Hamming distance of a stored hash to one of the queries."""
    differing = pack(queries) ^ pack([bytes.fromhex(value)])
    return int(np.bitwise_count(differing).sum(axis=1).min())
