"""Find items whose picture, or a part of it, is in a frame: verified copies.

The vector of every item is compared, and local features vote for items. The likeliest are verified
by local features and by registration, as in a search of the gallery, and get the same calibrated
confidence. docs/adr/0036-votes.md says how many are verified and at what cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, takewhile
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
from moderation.lists.policies import Policies, farthest, using
from moderation.screening.types import ContentFrame, ItemMatch

NEAREST: Final = 4
"""Items verified for a frame at first: those nearest by its whole vector, and all that are likely
copies by that alone."""

VOTED_LEAST, VOTED_MOST, VOTED_SHARE = 10, 40, 2500
LEAST_VOTES: Final = 0.75
"""Also verified then: of n pictures the n ÷ ``VOTED_SHARE`` with the most votes of local features,
within these limits, if they have more than ``LEAST_VOTES``."""

NEAREST_IN_PARTS: Final = 30
"""Items verified for a frame whose parts are compared: those with the likeliest vectors, of the
whole and of parts, all that are likely copies by that alone, and those with most votes."""

FARTHEST_WHOLE: Final = 0.8
"""A frame compared only whole is not looked at further if no item is within this cosine distance.
Unrelated pictures are at 1.
"""

NEGATIVE: Final = "negative"
"""If nothing else matches, the ``NEAREST``, whose vectors a negative hardly changes, and those with
the most votes of inverted features are tested for a negative."""

REGISTERED_SIDE: Final = 320
"""Size in pixels of an item's picture that registration needs."""


def matches(frames: Sequence[ContentFrame], policies: Policies) -> list[ItemMatch]:
    """Return matches up to the lists' near-miss thresholds. Raises ``Unavailable``."""
    lists = using(policies, "copy")
    pictures = item_vectors.all_of("cnn", COPY_VERSION, list(lists))
    if not len(pictures):
        return []
    compared = _Compared(pictures, policies, farthest(lists.values()))
    likely = confidence.logit_of_distance(compared.reach)
    found: list[ItemMatch] = []
    for frame in frames:
        asked = _Query.of(frame)
        verified = _verified_all(asked, compared)
        if frame.in_parts and any(one.logit_with_part >= likely for one in verified):
            # No part would bring an item within reach otherwise, however near it was.
            verified = _verified_all(asked.with_parts(), compared)
        matches = (compared.match(one, frame) for one in verified)
        found += [match for match in matches if match is not None]
    return found


@dataclass(frozen=True, eq=False)
class _Compared:
    """What frames are compared with. ``reach``: the farthest distance that is recorded.

    ``items``: those that were asked for so far.
    """

    pictures: Pictures
    policies: Policies
    reach: float
    items: dict[int, BannedItem] = field(default_factory=dict)

    packed: dict[int, bytes] = field(default_factory=dict)
    """Fingerprint → local features, b"" if it has none; of those that were asked for so far."""

    def item(self, row: _Row) -> BannedItem | None:
        if row.item not in self.items:
            self.items.update(BannedItem.objects.live([row.item], self.policies))
        return self.items.get(row.item)

    def features(self, rows: Sequence[_Row]) -> dict[_Row, bytes]:
        new = {row.pk for row in rows} - self.packed.keys()
        if new:
            stored = BannedFingerprint.objects.filter(pk__in=new).values_list("pk", "features")
            self.packed.update(dict.fromkeys(new, b""))
            self.packed.update((pk, bytes(packed or b"")) for pk, packed in stored)
        return {row: self.packed[row.pk] for row in rows if self.packed[row.pk]}

    def match(self, one: _Verified, frame: ContentFrame) -> ItemMatch | None:
        """Return the match; None if the distance is not recorded."""
        distance = confidence.distance(one.evidence, "copy")
        if distance > self.reach or (item := self.item(one.row)) is None:
            return None
        found = one.evidence.match
        match = ItemMatch.of(
            item,
            self.policies,
            "copy",
            distance,
            frame=frame,
            sure=found is not None,
            whole=found is None or not found.border,
            item_time_ms=one.row.time_ms,
            item_place=one.row.pk,
            geometry=found.as_dict() if found else None,
            edit=NEGATIVE if one.negative else "",
        )
        return match if match.is_recorded else None


@dataclass(frozen=True, eq=False)
class _Query:
    """A frame with its vectors: ``whole`` of the whole frame, ``part`` of its quarters.

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
            query = model.query(frame, WHOLE_VIEWS)
            return cls(frame, list(query.vectors.values()), features=query.features)
        squares = view_squares(frame.rgb, WHOLE_VIEWS)
        return cls(frame, list(model.embed(list(squares.values()))))

    def with_parts(self) -> _Query:
        parts = descriptors.get_copy().embed_views(self.frame.rgb, PART_VIEWS)
        return replace(self, part=list(parts.values()))

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


@dataclass(frozen=True, slots=True)
class _Verified:
    """A row with all evidence. ``negative``: of the frame's negative."""

    row: _Row
    evidence: CopyEvidence
    negative: bool = False

    @property
    def logit_with_part(self) -> float:
        return confidence.logit_with_part(self.evidence, "copy")


class _Ranking:
    """The stored pictures in the order of their evidence for one frame."""

    def __init__(self, asked: _Query, pictures: Pictures) -> None:
        self._asked, self._pictures = asked, pictures
        self._whole, self._part = _least(asked.whole, pictures), _least(asked.part, pictures)

    def nearest(self) -> list[_Row]:
        """Return the nearest picture of each of the nearest items, by vectors."""
        logits = confidence.logits_of_vectors(self._whole, self._part, "copy")
        count = NEAREST_IN_PARTS if self._asked.part else NEAREST
        if not self._asked.frame.in_parts:
            logits[self._whole > FARTHEST_WHOLE] = -np.inf
        order = takewhile(lambda at: logits[at] > -np.inf, item_vectors.best_first(logits))
        near: dict[int, _Row] = {}
        for at in self._pictures.matched(order):
            if len(near) >= count and logits[at] <= 0.0:
                break
            row = self._row(at)
            # One frame per item: hundreds of similar frames of a video would push out others.
            near.setdefault(row.item, row)
        return list(near.values())

    def voted(self, features: LocalFeatures) -> list[_Row]:
        """Return the pictures with the most votes of local features."""
        count = min(VOTED_MOST, max(VOTED_LEAST, len(self._pictures) // VOTED_SHARE))
        votes = self._pictures.votes(features)
        order = takewhile(lambda at: votes[at] > LEAST_VOTES, item_vectors.best_first(votes))
        return list(map(self._row, islice(self._pictures.matched(order), count)))

    def _row(self, at: int) -> _Row:
        return _Row(
            *self._pictures.named(at),
            CopyEvidence(
                cnn=float(self._whole[at]) if self._asked.whole else None,
                part=float(self._part[at]) if self._asked.part else None,
            ),
        )


def _verified_all(asked: _Query, compared: _Compared) -> list[_Verified]:
    """Return all evidence of the items that may be in the frame, as it is or as a negative."""
    ranking = _Ranking(asked, compared.pictures)
    near = ranking.nearest()
    if not (near or asked.frame.in_parts):
        return []
    features = asked.local_features()
    rows = _each_once(near, ranking.voted(features))
    found = _verified(asked.query(), rows, compared)
    matches = (compared.match(one, asked.frame) for one in found)
    if any(match is not None and match.within for match in matches):
        return found
    inverted = features.inverted()
    suspects = _each_once(near[:NEAREST], ranking.voted(inverted))
    return found + _verified_negatives(asked.inverted(inverted), suspects, compared)


def _each_once(*rows: Sequence[_Row]) -> list[_Row]:
    return list(dict.fromkeys(chain(*rows)))


def _least(vectors: Sequence[Vector], pictures: Pictures) -> NDArray[np.floating]:
    """Return each picture's distance to the nearest of some vectors; 2 if there are none."""
    if not len(vectors):
        return np.full(len(pictures), 2.0)
    return np.asarray(pictures.distances(vectors).min(axis=1))


def _verified(query: CopyQuery, rows: Sequence[_Row], compared: _Compared) -> list[_Verified]:
    shown = CandidateVerifier[_Row](
        query,
        "copy",
        packed_features=compared.features,
        pixels=lambda row: _picture_of(compared.item(row)),
    ).verify([(row, row.evidence) for row in rows], len(rows))
    return [_Verified(row, evidence) for row, evidence in shown]


def _verified_negatives(
    negative: CopyQuery, rows: Sequence[_Row], compared: _Compared
) -> list[_Verified]:
    """Return those that geometry finds in the negative."""
    packed = compared.features(rows)
    if not packed or negative.features is None:
        return []
    matches = geometry.verify_many(negative.features, list(packed.values()))
    shared = [row for row, match in zip(packed, matches, strict=True) if match]
    found = _verified(negative, shared, compared)
    return [replace(one, negative=True) for one in found if one.evidence.match]


def _picture_of(item: BannedItem | None) -> Pixels | None:
    """Return the item's picture; None for a video, whose picture is not a compared frame."""
    if item is None or not item.picture or item.media == BannedItem.Media.VIDEO:
        return None
    try:
        with item.picture.open() as stream, Image.open(stream, formats=["JPEG"]) as picture:
            # Decoding at a smaller scale saves nearly all of the time.
            picture.draft("RGB", (REGISTERED_SIDE, REGISTERED_SIDE))
            return np.asarray(picture.convert("RGB"))
    except (FileNotFoundError, UnidentifiedImageError):
        return None
