"""Find items whose picture, or a part of it, is in a frame: verified copies.

The vector of every item is compared. The nearest are verified by local features and by
registration, as in a search of the gallery, and get the same calibrated confidence.
docs/adr/0017-items-compared.md says how many are verified and at what cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gallery.imaging import descriptors, geometry, local_features
from gallery.imaging.descriptors.base import COPY_VERSION, Vector
from gallery.imaging.descriptors.copy import PART_VIEWS, WHOLE_VIEWS, view_squares
from gallery.imaging.image_registration import Registration
from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.pixels import Pixels
from gallery.search import confidence
from gallery.search.confidence import CopyEvidence
from gallery.search.copy_candidates import QueryView
from gallery.search.copy_search import CandidateVerifier, CopyQuery
from moderation.lists import item_vectors
from moderation.lists.item_vectors import Pictures
from moderation.lists.models import BannedFingerprint, BannedItem
from moderation.lists.policies import Policies, using
from moderation.screening.types import ContentFrame, ItemMatch

VERIFIED_LEAST, VERIFIED_MOST, VERIFIED_SHARE = 30, 200, 100
"""Items verified for each frame: of n pictures, the n ÷ ``VERIFIED_SHARE`` with the likeliest
vectors, within these limits, and all that are likely copies by their vectors alone.
"""

FARTHEST_WHOLE: Final = 0.8
"""A frame compared only whole is not verified beyond this cosine distance. Unrelated pictures are
at 1.
"""

NEGATIVES: Final = 10
"""Items that are tested for a negative if nothing else matches. A negative hardly changes the
vector: of 160 negatives, also cropped and bordered, all were among the ten nearest of 353 pictures.
"""

NEGATIVE: Final = "negative"

REGISTERED_SIDE: Final = 320
"""Size in pixels of an item's picture that registration needs."""


def matches(frames: Sequence[ContentFrame], policies: Policies) -> list[ItemMatch]:
    """Return matches up to the lists' near-miss thresholds. Raises ``Unavailable``."""
    pictures = item_vectors.matching("cnn", COPY_VERSION, list(using(policies, "copy")))
    if not len(pictures):
        return []
    asked = [_Query.of(frame) for frame in frames]
    near = [_near(one, pictures) for one in asked]
    items = BannedItem.objects.live({row.item for rows in near for row in rows}, policies)
    found: list[ItemMatch] = []
    for one, rows in zip(asked, near, strict=True):
        known = [row for row in rows if row.item in items]
        packed = _packed_features(known)
        verified = _verified(one, known, packed, items, policies)
        if not any(match.within for match in verified):
            verified += _verified_negatives(one, known[:NEGATIVES], packed, items, policies)
        found += verified
    return found


@dataclass(frozen=True, eq=False)
class _Query:
    """A frame with its vectors: ``whole`` of the whole frame, ``part`` of its crops.

    ``features``: the local features, if they are already extracted.
    """

    frame: ContentFrame
    whole: Sequence[Vector]
    part: Sequence[Vector] = ()
    features: LocalFeatures | None = None

    @classmethod
    def of(cls, frame: ContentFrame) -> _Query:
        if frame.vectors:
            return cls(frame, frame.vectors)
        model = descriptors.get_copy()
        if frame.in_parts:
            query = model.query(frame)
            whole = [vector for name, vector in query.vectors.items() if name not in PART_VIEWS]
            part = [vector for name, vector in query.vectors.items() if name in PART_VIEWS]
            return cls(frame, whole, part, query.features)
        squares = view_squares(frame.rgb, WHOLE_VIEWS)
        return cls(frame, list(model.embed(list(squares.values()))))

    def local_features(self) -> LocalFeatures:
        return local_features.extract(self.frame.rgb) if self.features is None else self.features

    def query(self) -> CopyQuery:
        return CopyQuery(QueryView(), self.local_features(), Registration(self.frame.rgb))

    def inverted(self, features: LocalFeatures) -> CopyQuery:
        rgb = np.asarray(255 - self.frame.rgb, np.uint8)
        return CopyQuery(QueryView(), features, Registration(rgb))


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored picture of an item, and the evidence of its vector for one frame."""

    pk: int
    item: int
    time_ms: int | None
    evidence: CopyEvidence


Packed = dict[_Row, bytes]

Items = dict[int, BannedItem]


def _near(asked: _Query, pictures: Pictures) -> list[_Row]:
    """Return the pictures to verify: the nearest picture of each of the nearest items."""
    whole, part = _least(asked.whole, pictures), _least(asked.part, pictures)
    logits = confidence.logits_of_vectors(whole, part, "copy")
    order = np.argsort(-logits, kind="stable")
    if not asked.frame.in_parts:
        order = order[whole[order] <= FARTHEST_WHOLE]
    # Keep one frame per item: hundreds of similar frames of a video would push out others.
    _, first = np.unique(pictures.rows["item"][order], return_index=True)
    order = order[np.sort(first)]
    verified = min(VERIFIED_MOST, max(VERIFIED_LEAST, len(pictures) // VERIFIED_SHARE))
    likely = int(np.count_nonzero(logits[order] > 0.0))
    return [
        _Row(
            *pictures.named(at),
            CopyEvidence(
                cnn=float(whole[at]) if asked.whole else None,
                part=float(part[at]) if asked.part else None,
            ),
        )
        for at in order[: max(verified, likely)].tolist()
    ]


def _least(vectors: Sequence[Vector], pictures: Pictures) -> NDArray[np.floating]:
    """Return each picture's distance to the nearest of some vectors; 2 if there are none."""
    if not len(vectors):
        return np.full(len(pictures), 2.0)
    return np.asarray(pictures.distances(vectors).min(axis=1))


def _verified(
    asked: _Query, rows: Sequence[_Row], packed: Packed, items: Items, policies: Policies
) -> list[ItemMatch]:
    if not rows:
        return []
    shown = CandidateVerifier[_Row](
        asked.query(),
        "copy",
        packed_features=lambda rows: {row: packed[row] for row in rows if row in packed},
        pixels=lambda row: _picture_of(items[row.item]),
    ).verify([(row, row.evidence) for row in rows], len(rows))
    found = (_match(row, known, items[row.item], asked.frame, policies) for row, known in shown)
    return [match for match in found if match is not None]


def _verified_negatives(
    asked: _Query, rows: Sequence[_Row], packed: Packed, items: Items, policies: Policies
) -> list[ItemMatch]:
    rows = [row for row in rows if row in packed]
    if not rows:
        return []
    features = asked.local_features().inverted()
    matches = geometry.verify_many(features, [packed[row] for row in rows])
    shared = [row for row, match in zip(rows, matches, strict=True) if match]
    if not shared:
        return []
    shown = CandidateVerifier[_Row](
        asked.inverted(features),
        "copy",
        packed_features=lambda rows: {row: packed[row] for row in rows},
        pixels=lambda row: _picture_of(items[row.item]),
    ).verify([(row, row.evidence) for row in shared], len(shared))
    found = (_match(row, known, items[row.item], asked.frame, policies) for row, known in shown)
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
    """Return the item's picture; None for a video, whose picture is not a compared frame."""
    if not item.picture or item.media == BannedItem.Media.VIDEO:
        return None
    try:
        with item.picture.open() as stream, Image.open(stream, formats=["JPEG"]) as picture:
            # Decoding at a smaller scale saves nearly all of the time.
            picture.draft("RGB", (REGISTERED_SIDE, REGISTERED_SIDE))
            return np.asarray(picture.convert("RGB"))
    except (FileNotFoundError, UnidentifiedImageError):
        return None


def _match(
    row: _Row, evidence: CopyEvidence, item: BannedItem, frame: ContentFrame, policies: Policies
) -> ItemMatch | None:
    match = ItemMatch.of(
        item,
        policies,
        "copy",
        confidence.distance(evidence, "copy"),
        frame=frame,
        sure=evidence.match is not None,
        whole=evidence.match is None or not evidence.match.border,
        item_time_ms=row.time_ms,
        item_place=row.pk,
        geometry=evidence.match.as_dict() if evidence.match else None,
    )
    return match if match.is_recorded else None
