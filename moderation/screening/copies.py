"""Find items whose picture, or a part of it, is in a frame: verified copies.

The vector of every item is compared, and local features vote for items. The likeliest are verified
by local features and by registration, as in a search of the gallery, and get the same calibrated
confidence. docs/adr/0036-votes.md says how many are verified and at what cost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice, takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gallery.imaging import descriptors, local_features
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

MOST_SHOWN: Final = 64
"""Such pictures that are kept, as the frames of an animation need the same ones: 15 MB."""


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
        search = _FrameSearch(frame, compared)
        verified = search.verified()
        if frame.in_parts and any(one.logit_with_part >= likely for one in verified):
            # No part would bring an item within reach otherwise, however near it was.
            search.add_parts()
            verified = search.verified()
        matches = (compared.match(one, frame) for one in verified)
        found += [match for match in matches if match is not None]
    return found


@dataclass(frozen=True, eq=False)
class _Compared:
    """What frames are compared with. ``reach``: the farthest distance that is recorded.

    ``items``, ``shown``: items and their pictures, of those that were asked for so far.
    """

    pictures: Pictures
    policies: Policies
    reach: float
    items: dict[int, BannedItem] = field(default_factory=dict)
    shown: dict[int, Pixels | None] = field(default_factory=dict)

    packed: dict[int, bytes] = field(default_factory=dict)
    """Fingerprint → local features, b"" if it has none; of those that were asked for so far."""

    def item(self, row: _Row) -> BannedItem | None:
        if row.item not in self.items:
            self.items.update(BannedItem.objects.live([row.item], self.policies))
        return self.items.get(row.item)

    def pixels(self, row: _Row) -> Pixels | None:
        if row.item not in self.shown:
            if len(self.shown) >= MOST_SHOWN:
                self.shown.clear()
            self.shown[row.item] = _picture_of(self.item(row))
        return self.shown[row.item]

    def features(self, pks: Sequence[int]) -> dict[int, bytes]:
        new = set(pks) - self.packed.keys()
        if new:
            stored = BannedFingerprint.objects.filter(pk__in=new).values_list("pk", "features")
            self.packed.update(dict.fromkeys(new, b""))
            self.packed.update((pk, bytes(packed or b"")) for pk, packed in stored)
        return {pk: self.packed[pk] for pk in pks if self.packed[pk]}

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


class _FrameSearch:
    """Finds items in one frame: by its whole vector and, after ``add_parts``, those of its quarters
    as well. What is compared with an item once is not compared again."""

    def __init__(self, frame: ContentFrame, compared: _Compared) -> None:
        self._frame, self._compared, self._pictures = frame, compared, compared.pictures
        self._extracted: LocalFeatures | None = None
        whole = self._whole_vectors()
        self._has_whole, self._has_part = bool(len(whole)), False
        self._whole, self._part = _least(whole, self._pictures), _least((), self._pictures)
        self._rows: dict[int, _Row] = {}

    def add_parts(self) -> None:
        parts = descriptors.get_copy().embed_views(self._frame.rgb, PART_VIEWS)
        self._has_part = bool(parts)
        self._part = _least(list(parts.values()), self._pictures)

    def verified(self) -> list[_Verified]:
        """Return all evidence of the items that may be in the frame, as it is or as a negative."""
        near = self._nearest()
        if not (near or self._frame.in_parts):
            return []
        found = self._verified(self._upright, _each_once(near, map(self._row, self._voted)))
        matches = (self._compared.match(one, self._frame) for one in found)
        if any(match is not None and match.within for match in matches):
            return found
        suspects = _each_once(near[:NEAREST], map(self._row, self._voted_as_negative))
        shared = set(self._negative.sharing([row.pk for row in suspects]))
        rows = [row for row in suspects if row.pk in shared]
        negatives = self._verified(self._negative, rows)
        return found + [replace(one, negative=True) for one in negatives]

    def _whole_vectors(self) -> Sequence[Vector]:
        if self._frame.vectors:
            return self._frame.vectors
        model = descriptors.get_copy()
        if self._frame.in_parts:
            query = model.query(self._frame, WHOLE_VIEWS)
            self._extracted = query.features
            return list(query.vectors.values())
        squares = view_squares(self._frame.rgb, WHOLE_VIEWS)
        return list(model.embed(list(squares.values())))

    @cached_property
    def _features(self) -> LocalFeatures:
        extracted = self._extracted
        return local_features.extract(self._frame.rgb) if extracted is None else extracted

    @cached_property
    def _inverted(self) -> LocalFeatures:
        return self._features.inverted()

    @cached_property
    def _voted(self) -> list[int]:
        return self._most_votes(self._features)

    @cached_property
    def _voted_as_negative(self) -> list[int]:
        return self._most_votes(self._inverted)

    @cached_property
    def _upright(self) -> CandidateVerifier[int]:
        return self._verifier(self._features, self._frame.rgb)

    @cached_property
    def _negative(self) -> CandidateVerifier[int]:
        return self._verifier(self._inverted, np.asarray(255 - self._frame.rgb, np.uint8))

    def _verifier(self, features: LocalFeatures, rgb: Pixels) -> CandidateVerifier[int]:
        return CandidateVerifier[int](
            CopyQuery(QueryView(), features, Registration(rgb)),
            "copy",
            packed_features=self._compared.features,
            pixels=lambda pk: self._compared.pixels(self._rows[pk]),
        )

    def _verified(
        self, verifier: CandidateVerifier[int], rows: Collection[_Row]
    ) -> list[_Verified]:
        found = verifier.verify([(row.pk, row.evidence) for row in rows], len(rows))
        return [_Verified(self._rows[pk], evidence) for pk, evidence in found]

    def _nearest(self) -> list[_Row]:
        """Return the nearest picture of each of the nearest items, by vectors."""
        logits = confidence.logits_of_vectors(self._whole, self._part, "copy")
        count = NEAREST_IN_PARTS if self._has_part else NEAREST
        if not self._frame.in_parts:
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

    def _most_votes(self, features: LocalFeatures) -> list[int]:
        """Return the positions of the pictures with the most votes of local features."""
        count = min(VOTED_MOST, max(VOTED_LEAST, len(self._pictures) // VOTED_SHARE))
        votes = self._pictures.votes(features)
        order = takewhile(lambda at: votes[at] > LEAST_VOTES, item_vectors.best_first(votes))
        return list(islice(self._pictures.matched(order), count))

    def _row(self, at: int) -> _Row:
        row = _Row(
            *self._pictures.named(at),
            CopyEvidence(
                cnn=float(self._whole[at]) if self._has_whole else None,
                part=float(self._part[at]) if self._has_part else None,
            ),
        )
        self._rows[row.pk] = row
        return row


def _each_once(*rows: Iterable[_Row]) -> Collection[_Row]:
    return {row.pk: row for row in chain(*rows)}.values()


def _least(vectors: Sequence[Vector], pictures: Pictures) -> NDArray[np.floating]:
    """Return each picture's distance to the nearest of some vectors; 2 if there are none."""
    if not len(vectors):
        return np.full(len(pictures), 2.0)
    return np.asarray(pictures.distances(vectors).min(axis=1))


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
