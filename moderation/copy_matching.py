"""Items of which a subject's pictures show (a part of) the picture.

Every item's vector is compared. The nearest are verified by local features and looked at, as in a
search of the gallery, and come out with the same calibrated confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from gallery import conf as gallery_conf
from gallery import confidence, decoding, descriptors, local_features
from gallery.candidates import Probe
from gallery.confidence import Evidence
from gallery.descriptors.base import COPY_VERSION, Pixels
from gallery.descriptors.copy import PARTS
from gallery.descriptors.copy import views as squares_of
from gallery.errors import UserError
from gallery.likeness import Looks
from gallery.services.copy_search import CopyQuery, judged
from gallery.trimming import trim
from gallery.vectors import encode
from moderation.matching import LIVE, Match, View, live_items, of_item
from moderation.models import BannedFingerprint, BannedItem
from moderation.policies import Policies, using

PROPOSED: Final = 200
"""Pictures of items that each vector proposes, of which those are verified that most speaks for."""

LIKE_AT_ALL: Final = 0.8
"""Cosine distance beyond which one frame of many is not verified; unlike pictures are at 1."""

_NEAREST_COPIES = f"""
SELECT q.n, near.id FROM unnest(%(vectors)s::text[]) WITH ORDINALITY AS q(vector, n)
CROSS JOIN LATERAL (
    SELECT f.id {LIVE} AND f.cnn IS NOT NULL AND f.version = %(version)s
    ORDER BY (f.cnn <=> q.vector::halfvec) + 0 LIMIT {PROPOSED}
) near
"""  # noqa: S608
_COPIES_MEASURED = """
SELECT q.n, f.id, f.item_id, f.time_ms, f.cnn <=> q.vector::halfvec
FROM unnest(%(vectors)s::text[]) WITH ORDINALITY AS q(vector, n)
CROSS JOIN moderation_bannedfingerprint f WHERE f.id = ANY(%(ids)s)
"""


@dataclass(frozen=True, eq=False)
class _Vectors:
    """One view's vectors in SQL's text form: of all it shows, and of its quarters."""

    view: View
    whole: Sequence[str]
    part: Sequence[str] = ()

    def query(self) -> CopyQuery:
        """With all that verifying needs."""
        rgb = self.view.rgb
        features = local_features.extract(rgb)
        return CopyQuery(Probe(), features, Looks(rgb), trim(rgb))


def by_copy(views: Sequence[View], policies: Policies) -> list[Match]:
    """Up to what their lists record. Raises ``Unavailable``."""
    asked = [_vectors(view) for view in views]
    rows = _measured(asked, list(using(policies, "copy")))
    items = live_items({row.item for known in rows.values() for row in known}, policies)
    found: list[Match] = []
    for number, near in rows.items():
        view = views[number]
        known = [(row, row.evidence) for row in near if row.item in items]
        if not view.alone:
            known = [pair for pair in known if (pair[1].cnn or 0.0) <= LIKE_AT_ALL]
        if not known:
            continue
        shown = judged(
            asked[number].query(),
            known,
            "copy",
            packed_features=_packed_features,
            pixels=lambda row: _picture_of(items[row.item], row),
        )
        found += (
            match
            for row, evidence in shown
            if (match := _copy(row, evidence, items[row.item], view, policies))
        )
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored picture of an item, and its distances to one view, the least of each kind."""

    pk: int
    item: int
    time_ms: int | None
    cnn: float | None
    part: float | None

    @property
    def evidence(self) -> Evidence:
        return Evidence(cnn=self.cnn, part=self.part)


def _vectors(view: View) -> _Vectors:
    if view.vectors:
        return _Vectors(view, view.vectors)
    squares = squares_of(view.rgb)
    if not view.alone:
        squares = {name: pixels for name, pixels in squares.items() if name not in PARTS}
    made = descriptors.get_copy().embed(list(squares.values()))
    texts = dict(zip(squares, map(encode, made), strict=True))
    return _Vectors(
        view,
        [text for name, text in texts.items() if name not in PARTS],
        [text for name, text in texts.items() if name in PARTS],
    )


def _measured(asked: Sequence[_Vectors], lists: Sequence[int]) -> dict[int, list[_Row]]:
    """The pictures nearest to each view, by its number, with all their distances to it."""
    texts = [(number, text, False) for number, one in enumerate(asked) for text in one.whole]
    texts += [(number, text, True) for number, one in enumerate(asked) for text in one.part]
    params: dict[str, Any] = {"vectors": [text for _, text, _ in texts], "lists": list(lists)}
    with connection.cursor() as cursor:
        cursor.execute(_NEAREST_COPIES, {**params, "version": COPY_VERSION})
        proposed = {(texts[n - 1][0], pk) for n, pk in cursor.fetchall()}
        cursor.execute(_COPIES_MEASURED, {**params, "ids": sorted({pk for _, pk in proposed})})
        measured = cursor.fetchall()
    least: dict[tuple[int, int], dict[bool, float]] = {}
    facts: dict[int, tuple[int, int | None]] = {}
    for n, pk, item, time_ms, distance in measured:
        number, _, part = texts[n - 1]
        if (number, pk) in proposed:
            mine = least.setdefault((number, pk), {})
            mine[part] = min(distance, mine.get(part, distance))
            facts[pk] = item, time_ms
    rows: dict[int, list[_Row]] = {}
    for (number, pk), mine in least.items():
        rows.setdefault(number, []).append(_Row(pk, *facts[pk], mine.get(False), mine.get(True)))
    return rows


def _packed_features(rows: Sequence[_Row]) -> dict[_Row, bytes]:
    stored = BannedFingerprint.objects.filter(
        pk__in=[row.pk for row in rows], features__isnull=False
    )
    packed = {pk: bytes(kept) for pk, kept in stored.values_list("pk", "features") if kept}
    return {row: packed[row.pk] for row in rows if row.pk in packed}


def _picture_of(item: BannedItem, row: _Row) -> Pixels | None:
    """What is kept of an item is its first picture, and of a video none of those compared."""
    if not item.picture or item.media == BannedItem.Media.VIDEO:
        return None
    try:
        with item.picture.open() as stream:
            return decoding.decode(stream.read(), gallery_conf.limits()).rgb
    except (FileNotFoundError, UserError):
        return None


def _copy(
    row: _Row, evidence: Evidence, item: BannedItem, view: View, policies: Policies
) -> Match | None:
    """None beyond what the list records."""
    distance = round(1.0 - confidence.confidence(evidence, "copy"), 6)
    match = of_item(
        item,
        policies,
        "copy",
        distance,
        sure=evidence.match is not None,
        whole=evidence.match is None or not evidence.match.border,
        quality=view.quality,
        frame=view.frame,
        time_ms=view.time_ms,
        item_time_ms=row.time_ms,
        item_place=row.pk,
        geometry=evidence.match.as_dict() if evidence.match else None,
    )
    return match if distance <= match.observe else None
