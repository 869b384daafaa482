"""Items that a subject's pictures look like by what needs both pictures: copy, imgsmlr and clip.

There is no index over the vectors of items: each is compared, so that none is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from django.db import connection

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import Vector
from gallery.items import versions
from gallery.items.vectors import encode
from gallery.shared.errors import Unavailable
from moderation.lists import item_vectors
from moderation.lists.conf import Bounds
from moderation.lists.item_vectors import LIVE
from moderation.lists.list_policies import Policies, farthest, using
from moderation.lists.models import BannedFingerprint, BannedItem
from moderation.lists.verdicts import VECTOR_TYPES
from moderation.screening.copy_matching import by_copy
from moderation.screening.matching import Match, View, live_items, of_item

COLUMNS: Final = {"copy": "cnn", "imgsmlr": "pattern", "clip": "clip"}
"""Match type → the column that it compares."""

ROUNDING: Final = 1e-6
"""Distances are compared when they are rounded to six places."""

Near = tuple[int, int, int | None, float]
"""Fingerprint, item, time in its video, distance."""


@dataclass(frozen=True)
class Needs:
    """What the items of the enabled lists can be compared by.

    ``used``: match types with something to compare; ``missing``: those that cannot be used here, or
    not of all items, → why, as a sentence.
    """

    used: frozenset[str]
    missing: Mapping[str, str]


def needs(policies: Policies) -> Needs:
    """What these lists' pictures have to be compared by, and whether that can be done."""
    used, missing = set(), dict[str, str]()
    for match_type in VECTOR_TYPES:
        rows = BannedFingerprint.objects.filter(
            **{f"{COLUMNS[match_type]}__isnull": False},
            item__in=BannedItem.objects.matching().filter(
                list__in=list(using(policies, match_type))
            ),
        )
        if not rows.exists():
            continue
        try:
            other = rows.exclude(version=_version(match_type)).exists()
        except Unavailable as error:
            missing[match_type] = error.message
            continue
        if other:
            missing[match_type] = f"Items of the lists are described by another {match_type} model."
        used.add(match_type)
    return Needs(frozenset(used), missing)


def _version(match_type: str) -> str:
    """What makes the vectors that are compared. Raises ``Unavailable``."""
    if match_type == "clip":
        return versions.searched().version
    return descriptors.get(match_type).version


def by_pictures(
    views: Sequence[View], policies: Policies, match_types: Collection[str]
) -> list[Match]:
    """Items that the views look like by these match types, up to what their lists record.

    Raises ``Unavailable``.
    """
    found: list[Match] = []
    if "copy" in match_types:
        found += by_copy(views, policies)
    for match_type in ("imgsmlr", "clip"):
        if match_type in match_types:
            found += _by_distance(match_type, views, policies)
    return found


def _by_distance(match_type: str, views: Sequence[View], policies: Policies) -> list[Match]:
    """By imgsmlr or clip, whose distance is that of two vectors."""
    lists = using(policies, match_type)
    model = versions.searched() if match_type == "clip" else descriptors.get(match_type)
    found: list[Match] = []
    for view, columns in zip(views, model.describe(views), strict=True):
        if columns is None:
            continue
        near = _NEAR[match_type](model.version, columns[COLUMNS[match_type]], lists)
        items = live_items({item for _, item, _, _ in near}, policies)
        for pk, item, time_ms, distance in near:
            if item not in items:
                continue
            match = of_item(
                items[item],
                policies,
                match_type,
                round(distance, 6),
                sure=False,
                quality=view.quality,
                frame=view.frame,
                time_ms=view.time_ms,
                rendering=view.rendering,
                item_time_ms=time_ms,
                item_place=pk,
            )
            if match.distance <= match.observe:
                found.append(match)
    return found


def _by_clip(version: str, vector: Vector, lists: Mapping[int, Bounds]) -> list[Near]:
    pictures = item_vectors.matching("clip", version, list(lists))
    distances = pictures.distances([vector])[:, 0]
    near = np.flatnonzero(distances <= farthest(lists.values()) + ROUNDING)
    return [(*pictures.named(at), float(distances[at])) for at in near.tolist()]


def _by_imgsmlr(version: str, vector: Vector, lists: Mapping[int, Bounds]) -> list[Near]:
    distance = "f.pattern <-> %(vector)s::vector"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT f.id, f.item_id, f.time_ms, {distance} {LIVE} AND f.version = %(version)s "
            f"AND f.pattern IS NOT NULL AND {distance} <= %(reach)s",
            {
                "lists": list(lists),
                "version": version,
                "vector": encode(vector),
                "reach": farthest(lists.values()) + ROUNDING,
            },
        )
        rows: list[Near] = cursor.fetchall()
        return rows


_NEAR: Final[Mapping[str, Callable[[str, Vector, Mapping[int, Bounds]], list[Near]]]] = {
    "imgsmlr": _by_imgsmlr,
    "clip": _by_clip,
}
"""Match type → what is near enough for some list, by a version's vector."""
