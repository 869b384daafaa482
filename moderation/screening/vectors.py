"""Find items whose vectors are near to a frame's, by imgsmlr or clip.

There is no index over the vectors of items: each is compared, so none is missed. ``usable`` also
covers ``copy``, which ``copies`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from django.db import connection
from django.db.models import Q

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import Vector
from gallery.items import versions
from gallery.items.vectors import encode
from gallery.shared.errors import Unavailable
from moderation.lists import item_vectors
from moderation.lists.describing import undescribed
from moderation.lists.models import BannedFingerprint, BannedItem
from moderation.lists.policies import Policies, farthest, using
from moderation.lists.thresholds import Thresholds
from moderation.lists.verdicts import VECTOR_TYPES
from moderation.screening.types import ContentFrame, ItemMatch

COLUMNS: Final = {"copy": "cnn", "imgsmlr": "pattern", "clip": "clip"}

ROUNDING: Final = 1e-6
"""Tolerance of a search, because distances are rounded to six places before they are compared."""

Near = tuple[int, int, int | None, float]
"""Fingerprint, item, time in its video, distance."""


def usable(policies: Policies) -> tuple[set[str], dict[str, str]]:
    """Return the match types that can compare items of these lists, and the problems of others.

    A problem is a sentence: why a match type cannot be used here, or not for all items.
    """
    used, missing = set(), dict[str, str]()
    for match_type in VECTOR_TYPES:
        if not (lists := using(policies, match_type)):
            continue
        rows = BannedFingerprint.objects.filter(
            **{f"{COLUMNS[match_type]}__isnull": False},
            item__in=BannedItem.objects.matching().filter(list__in=tuple(lists)),
        )
        try:
            version = _version(match_type)
        except Unavailable as error:
            if rows.exists():
                missing[match_type] = error.message
            continue
        # In two ranges, which an index answers at once: there is hardly ever another version.
        others = rows.filter(Q(version__lt=version) | Q(version__gt=version))
        if others.exists() and undescribed(others, version).exists():
            missing[match_type] = f"Items of the lists are described by another {match_type} model."
            used.add(match_type)
        elif rows.filter(version=version).exists():
            used.add(match_type)
    return used, missing


def matches(match_type: str, frames: Sequence[ContentFrame], policies: Policies) -> list[ItemMatch]:
    """Return matches up to the lists' near-miss thresholds. ``match_type``: imgsmlr or clip.

    Raises ``Unavailable``.
    """
    lists = using(policies, match_type)
    model = versions.searched() if match_type == "clip" else descriptors.get(match_type)
    found: list[ItemMatch] = []
    for frame, columns in zip(frames, model.describe(frames), strict=True):
        if columns is None:
            continue
        near = _NEAR[match_type](model.version, columns[COLUMNS[match_type]], lists)
        items = BannedItem.objects.live({item for _, item, _, _ in near}, policies)
        for pk, item, time_ms, distance in near:
            if item not in items:
                continue
            match = ItemMatch.of(
                items[item],
                policies,
                match_type,
                round(distance, 6),
                frame=frame,
                sure=False,
                item_time_ms=time_ms,
                item_place=pk,
            )
            if match.is_recorded:
                found.append(match)
    return found


def _version(match_type: str) -> str:
    if match_type == "clip":
        return versions.searched().version
    return descriptors.get(match_type).version


def _by_clip(version: str, vector: Vector, lists: Mapping[int, Thresholds]) -> list[Near]:
    pictures = item_vectors.all_of("clip", version, list(lists))
    distances = pictures.distances([vector])[:, 0]
    near = np.flatnonzero(distances <= farthest(lists.values()) + ROUNDING)
    matched = pictures.matched(near.tolist())
    return [(*pictures.named(at), float(distances[at])) for at in matched]


def _by_imgsmlr(version: str, vector: Vector, lists: Mapping[int, Thresholds]) -> list[Near]:
    distance = "f.pattern <-> %(vector)s::vector"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT f.id, f.item_id, f.time_ms, {distance} "
            f"{item_vectors.pictures_sql(lists)} AND f.version = %(version)s "
            f"AND f.pattern IS NOT NULL AND {distance} <= %(reach)s",
            {
                "version": version,
                "vector": encode(vector),
                "reach": farthest(lists.values()) + ROUNDING,
            },
        )
        rows: list[Near] = cursor.fetchall()
        return rows


_NEAR: Final[Mapping[str, Callable[[str, Vector, Mapping[int, Thresholds]], list[Near]]]] = {
    "imgsmlr": _by_imgsmlr,
    "clip": _by_clip,
}
