"""Items of which a subject's pictures show (a part of) the picture.

Every item's vector is compared. The nearest are verified by local features and looked at, as in a
search of the gallery, and come out with the same calibrated confidence. How many that are, and
what it costs, is in docs/adr/0017-items-compared.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gallery.imaging import descriptors, geometry, local_features
from gallery.imaging.descriptors.base import COPY_VERSION, Pixels, Vector
from gallery.imaging.descriptors.copy import PARTS
from gallery.imaging.descriptors.copy import views as squares_of
from gallery.imaging.image_registration import Looks
from gallery.imaging.local_features import Features
from gallery.imaging.trimming import trim
from gallery.search import confidence
from gallery.search.candidates import Probe
from gallery.search.confidence import Evidence
from gallery.search.copy_search import CopyQuery, judged
from moderation.lists import item_vectors
from moderation.lists.item_vectors import Pictures
from moderation.lists.list_policies import Policies, using
from moderation.lists.models import BannedFingerprint, BannedItem
from moderation.screening.matching import (
    Match,
    View,
    live_items,
    of_item,
)

LEAST, MOST, SHARE = 30, 200, 100
"""Items that are verified for each view: of n pictures the n ÷ ``SHARE`` that their vectors speak
for most, within these limits; and all that the vectors alone make likely copies."""

LIKE_AT_ALL: Final = 0.8
"""Cosine distance beyond which a picture that is not looked at in parts is not verified; unlike
pictures are at 1."""

INVERTED: Final = 10
"""Items of each view that a negative is looked for of, where nothing else was found. Vectors hardly
change by it: of 160 negatives, also cropped and bordered, among 353 pictures all were among the
ten nearest."""

NEGATIVE: Final = "negative"
"""What such a match calls the edit."""

LOOKED_AT_SIDE: Final = 320
"""Pixels of an item's picture that are enough to look at it."""


def by_copy(views: Sequence[View], policies: Policies) -> list[Match]:
    """Up to what their lists record. Raises ``Unavailable``."""
    pictures = item_vectors.matching("cnn", COPY_VERSION, list(using(policies, "copy")))
    if not len(pictures):
        return []
    asked = [_Asked.of(view) for view in views]
    near = [_near(one, pictures) for one in asked]
    items = live_items({row.item for rows in near for row in rows}, policies)
    found: list[Match] = []
    for one, rows in zip(asked, near, strict=True):
        known = [row for row in rows if row.item in items]
        packed = _packed_features(known)
        matches = _judged(one, known, packed, items, policies)
        if not any(match.within for match in matches):
            matches += _judged_inverted(one, known[:INVERTED], packed, items, policies)
        found += matches
    return found


@dataclass(frozen=True, eq=False)
class _Asked:
    """A view with the vectors of all it shows, and of its quarters. ``features``: if they are known
    already."""

    view: View
    whole: Sequence[Vector]
    part: Sequence[Vector] = ()
    features: Features | None = None

    @classmethod
    def of(cls, view: View) -> _Asked:
        """Raises ``Unavailable``."""
        if view.vectors:
            return cls(view, view.vectors)
        model = descriptors.get_copy()
        if view.in_parts:
            query = model.query(view)
            whole = [vector for name, vector in query.vectors.items() if name not in PARTS]
            part = [vector for name, vector in query.vectors.items() if name in PARTS]
            return cls(view, whole, part, query.features)
        squares = squares_of(view.rgb)
        return cls(
            view, list(model.embed([squares[name] for name in squares if name not in PARTS]))
        )

    def places(self) -> Features:
        """The local features, extracted now if they were not yet."""
        return local_features.extract(self.view.rgb) if self.features is None else self.features

    def query(self) -> CopyQuery:
        """With all that verifying needs."""
        rgb = self.view.rgb
        return CopyQuery(Probe(), self.places(), Looks(rgb), trim(rgb))

    def inverted(self, features: Features) -> CopyQuery:
        """The same of the negative, which has these features."""
        rgb = np.asarray(255 - self.view.rgb, np.uint8)
        return CopyQuery(Probe(), features, Looks(rgb), trim(rgb))


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored picture of an item, and what its vector says about one view."""

    pk: int
    item: int
    time_ms: int | None
    evidence: Evidence


Packed = dict[_Row, bytes]
"""The local features of those of some pictures that have any."""

Items = dict[int, BannedItem]


def _near(asked: _Asked, pictures: Pictures) -> list[_Row]:
    """The pictures to be verified: of each item the nearest, of the items the nearest."""
    whole, part = _least(asked.whole, pictures), _least(asked.part, pictures)
    logits = confidence.logits_of_vectors(whole, part, "copy")
    order = np.argsort(-logits, kind="stable")
    if not asked.view.in_parts:
        order = order[whole[order] <= LIKE_AT_ALL]
    # A video has hundreds of pictures that are alike: they must not push other items out.
    _, first = np.unique(pictures.rows["item"][order], return_index=True)
    order = order[np.sort(first)]
    verified = min(MOST, max(LEAST, len(pictures) // SHARE))
    likely = int(np.count_nonzero(logits[order] > 0.0))
    return [
        _Row(
            *pictures.named(at),
            Evidence(
                cnn=float(whole[at]) if asked.whole else None,
                part=float(part[at]) if asked.part else None,
            ),
        )
        for at in order[: max(verified, likely)].tolist()
    ]


def _least(vectors: Sequence[Vector], pictures: Pictures) -> NDArray[np.floating]:
    """The distance of each picture to the nearest of some vectors; 2 if there are none."""
    if not len(vectors):
        return np.full(len(pictures), 2.0)
    return np.asarray(pictures.distances(vectors).min(axis=1))


def _judged(
    asked: _Asked, rows: Sequence[_Row], packed: Packed, items: Items, policies: Policies
) -> list[Match]:
    if not rows:
        return []
    shown = judged(
        asked.query(),
        [(row, row.evidence) for row in rows],
        "copy",
        packed_features=lambda rows: {row: packed[row] for row in rows if row in packed},
        pixels=lambda row: _picture_of(items[row.item]),
        verified=len(rows),
    )
    found = (_copy(row, known, items[row.item], asked.view, policies) for row, known in shown)
    return [match for match in found if match is not None]


def _judged_inverted(
    asked: _Asked, rows: Sequence[_Row], packed: Packed, items: Items, policies: Policies
) -> list[Match]:
    """Items of which the picture shows the negative, where geometry says so."""
    rows = [row for row in rows if row in packed]
    if not rows:
        return []
    features = asked.places().inverted()
    matches = geometry.verify_many(features, [packed[row] for row in rows])
    shared = [row for row, match in zip(rows, matches, strict=True) if match]
    if not shared:
        return []
    shown = judged(
        asked.inverted(features),
        [(row, row.evidence) for row in shared],
        "copy",
        packed_features=lambda rows: {row: packed[row] for row in rows},
        pixels=lambda row: _picture_of(items[row.item]),
        verified=len(shared),
    )
    found = (_copy(row, known, items[row.item], asked.view, policies) for row, known in shown)
    return [replace(match, edit=NEGATIVE) for match in found if match is not None and match.sure]


def _packed_features(rows: Sequence[_Row]) -> Packed:
    if not rows:
        return {}
    stored = BannedFingerprint.objects.filter(
        pk__in=[row.pk for row in rows], features__isnull=False
    )
    packed = {pk: bytes(kept) for pk, kept in stored.values_list("pk", "features") if kept}
    return {row: packed[row.pk] for row in rows if row.pk in packed}


def _picture_of(item: BannedItem) -> Pixels | None:
    """What is kept of an item is its first picture, and of a video none of those compared."""
    if not item.picture or item.media == BannedItem.Media.VIDEO:
        return None
    try:
        with item.picture.open() as stream, Image.open(stream, formats=["JPEG"]) as picture:
            # Nearly all of the time is saved by not unfolding what is then averaged away.
            picture.draft("RGB", (LOOKED_AT_SIDE, LOOKED_AT_SIDE))
            return np.asarray(picture.convert("RGB"))
    except (FileNotFoundError, UnidentifiedImageError):
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
        rendering=view.rendering,
        item_time_ms=row.time_ms,
        item_place=row.pk,
        geometry=evidence.match.as_dict() if evidence.match else None,
    )
    return match if distance <= match.observe else None
