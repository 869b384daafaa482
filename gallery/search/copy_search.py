"""Searches for copies: takes candidates from every index, verifies them by geometry, ranks them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from gallery.imaging import descriptors, geometry
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.descriptors.copy import (
    PART_VIEWS,
    WHOLE_VIEWS,
    CopyDescription,
)
from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.image_registration import Registration, RegistrationSimilarity
from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.pixels import Box, Pixels, area_of, cropped, whole_box
from gallery.imaging.trimming import trim
from gallery.items import versions
from gallery.items.file_storage import thumbnail_rgb
from gallery.items.models import Image
from gallery.items.vectors import encode
from gallery.search import confidence
from gallery.search.confidence import CopyEvidence
from gallery.search.copy_candidates import (
    CopyCandidate,
    QueryView,
    measure_distances,
    propose_images,
    stored_local_features,
    stored_view,
)
from gallery.search.nearest import Filters, ImageMatch, ThresholdRule
from gallery.shared.errors import Unavailable

MAX_VERIFIED = 50
"""Candidates whose local features are compared: those with the best distances."""

BATCH = 10
"""Candidates that a search verifies at a time."""

MAX_REGISTERED_WITHOUT_COPY, MAX_REGISTERED_AFTER_FOUND = 5, 2
"""Registration ends after so many unlikely copies in a row: before and after a sure copy of the
whole query is found. Each takes about 3 ms. With 3 before, 3 of 1,200 edited copies were lost."""

MAX_REGISTERED_DISTANCE = 0.5
"""Largest cosine distance at which a picture without a geometric match is registered. Of 560 edited
pictures registration confirmed none beyond it."""

FEW_FEATURES = 40
"""A picture with fewer key points and a PDQ quality below 50 has too little information."""

Item = TypeVar("Item", bound=Hashable)
"""An item with a picture that may be a copy of the query."""

Rated = list[tuple[Item, CopyEvidence]]
"""Items, each with the evidence collected so far."""

Found = Rated[Image]


@dataclass(frozen=True)
class CopyQuery:
    """A described query. ``features`` None: it has none, or they were never stored.

    ``registration`` None: its picture is not available. ``exclude``: the id of an image that is
    left out. ``inner_share``: the share of its area within plain margins, 0 to 1.
    ``describe_parts`` returns the vectors of its quarters, which are compared only if nothing shows
    all of it; None: it has no others than those in ``view``.
    """

    view: QueryView
    features: LocalFeatures | None
    registration: Registration | None = None
    low_information: bool = False
    exclude: int = 0
    inner_share: float = 1.0
    describe_parts: Callable[[], Sequence[str]] | None = None

    def with_parts(self) -> CopyQuery:
        """Return the query with the vectors of its quarters. Raises ``Unavailable``."""
        if self.describe_parts is None:
            return self
        view = replace(self.view, part=self.describe_parts())
        return replace(self, view=view, describe_parts=None)


@dataclass(frozen=True)
class TrimmedPicture:
    """A picture without its borders, for descriptors."""

    rgb: Pixels
    legacy_rgb: Pixels


def describe_query(picture: Picture, match_type: str, *, sha256: str = "") -> CopyQuery:
    """Describe a picture for ``match_type`` copy or auto. Raises ``Unavailable``.

    ``sha256``: of its file, so that the same file is always found.
    """
    # Both release Python's lock for nearly all of their time.
    with ThreadPoolExecutor(1) as pool:
        pixels = pool.submit(_describe_pixels, picture)
        copied = _copy_query(picture, match_type)
        haar, pdqs, inner_box = pixels.result()
    every = match_type == "auto"
    query_view = QueryView(
        haar=[encode(haar["haar"])] if haar and every else [],
        pattern=encode(haar["pattern"]) if haar and every else None,
        pdq=[columns["pdq"] for columns in pdqs if columns] if every else [],
        cnn=[encode(vector) for vector in copied.vectors.values()] if copied else [],
        **(_clip(picture) if every else {}),
        sha256=sha256,
    )
    features = copied.features if copied else None
    quality = max((columns["pdq_quality"] for columns in pdqs if columns), default=0)
    poor = quality < LOW_QUALITY and (features is None or len(features) < FEW_FEATURES)
    return CopyQuery(
        query_view,
        features,
        Registration(picture.rgb, inner_box=inner_box),
        low_information=poor,
        inner_share=area_of(inner_box) / area_of(whole_box(picture.rgb)),
        describe_parts=partial(_part_vectors, picture) if copied else None,
    )


def stored_query(image: Image, match_type: str, *, itself: bool = False) -> CopyQuery:
    """Return the query of a stored image from its rows: its own views, not turned or mirrored.

    ``itself``: whether the image may be among the results.
    """
    version = versions.active() or ""
    query_view = stored_view(image.pk, version if match_type == "auto" else "")
    if match_type == "copy":
        query_view = QueryView(cnn=query_view.cnn)
    if itself:
        query_view = replace(query_view, sha256=image.sha256)
    packed = stored_local_features([image.pk]).get(image.pk)
    shown = thumbnail_rgb(image)
    return CopyQuery(
        query_view,
        LocalFeatures.unpack(packed) if packed else None,
        None if shown is None else Registration(shown, inner_box=whole_box(shown)),
        low_information=not query_view.sources(),
        exclude=0 if itself else image.pk,
    )


def gather_evidence(query: CopyQuery, match_type: str, filters: Filters | None = None) -> Found:
    """Return evidence for every candidate, in no order; the best are verified and registered.

    The quarters of the query propose images only if no image is surely a copy of all of it.
    """
    verifier = CandidateVerifier(
        query, match_type, packed_features=_packed_features, pixels=thumbnail_rgb
    )
    proposed = propose_images(query.view, filters, exclude=query.exclude)
    found = _measured(query, proposed)
    if query.describe_parts and not verifier.is_found_whole(verifier.verify(found, BATCH)):
        query = query.with_parts()
        parts = QueryView(part=query.view.part)
        proposed |= propose_images(parts, filters, exclude=query.exclude)
        found = _measured(query, proposed)
    return verifier.verify_until_found(found, MAX_VERIFIED)


class CandidateVerifier(Generic[Item]):
    """Verifies and registers the best candidates of one query, each of them once.

    ``packed_features`` returns the local features of those items that have some, ``pixels`` an
    item's stored picture if there is one.
    """

    def __init__(
        self,
        query: CopyQuery,
        match_type: str,
        *,
        packed_features: Callable[[Sequence[Item]], Mapping[Item, bytes]],
        pixels: Callable[[Item], Pixels | None],
    ) -> None:
        self._query, self._match_type = query, match_type
        self._packed_features, self._pixels = packed_features, pixels
        self._matches: dict[Item, GeometricMatch | None] = {}
        self._similarities: dict[Item, RegistrationSimilarity | None] = {}

    def verify(self, found: Rated[Item], most: int) -> Rated[Item]:
        """Add the evidence of geometry and registration to the best ``most`` items.

        ``found``: with distances, in no order. May be called again, with more items or smaller
        distances.
        """
        return self._registered(self._with_matches(found, most), most)

    def verify_until_found(self, found: Rated[Item], most: int) -> Rated[Item]:
        """``verify`` some at a time, and end when an item is found whole and no likely copy is
        among the last ones."""
        order = [item for item, _ in self._strongest_first(found)]
        for count in range(BATCH, most, BATCH):
            checked = self.verify(found, count)
            last = set(order[count - BATCH // 2 : count])
            likely = (self._is_likely(evidence) for item, evidence in checked if item in last)
            if self.is_found_whole(checked) and not any(likely):
                return checked
        return self.verify(found, most)

    def is_found_whole(self, found: Rated[Item]) -> bool:
        """Return whether an item is surely a copy, and shows all that the query shows."""
        whole = geometry.WHOLE * self._query.inner_share
        return any(
            (evidence.match is None or evidence.match.query_area >= whole)
            and confidence.certainty(
                confidence.distance(evidence, self._match_type), self._match_type
            )
            == "sure"
            for _, evidence in found
        )

    def _is_likely(self, evidence: CopyEvidence) -> bool:
        return confidence.logit(evidence, self._match_type) > 0

    def _with_matches(self, found: Rated[Item], count: int) -> Rated[Item]:
        """Verify the first ``count``, by their distances."""
        features = self._query.features
        if features is None or not len(features):
            return found
        found = self._strongest_first(found)
        new = [item for item, _ in found[:count] if item not in self._matches]
        if new:
            packed = self._packed_features(new)
            every = geometry.verify_many(features, list(packed.values()))
            self._matches |= dict.fromkeys(new) | dict(zip(packed, every, strict=True))
        return [(item, replace(known, match=self._matches.get(item))) for item, known in found]

    def _registered(self, found: Rated[Item], count: int) -> Rated[Item]:
        """Register the strongest ``count``, as long as likely copies are found."""
        registration = self._query.registration
        if registration is None:
            return found
        found = self._strongest_first(found)
        last_copy, most_unlikely = 0, MAX_REGISTERED_WITHOUT_COPY
        for place, (item, evidence) in enumerate(found[:count]):
            if place - last_copy >= most_unlikely:
                break
            if (
                self._match_type == "copy"
                and evidence.match is None
                and (evidence.cnn or 0.0) > MAX_REGISTERED_DISTANCE
            ):
                continue
            if item not in self._similarities:
                self._similarities[item] = _register(
                    registration, self._pixels(item), evidence.match
                )
            found[place] = item, replace(evidence, similarity=self._similarities[item])
            if self._is_likely(found[place][1]):
                last_copy = place + 1
                if self.is_found_whole(found[place : place + 1]):
                    most_unlikely = MAX_REGISTERED_AFTER_FOUND
        return found

    def _strongest_first(self, found: Rated[Item]) -> Rated[Item]:
        return sorted(found, key=lambda pair: -confidence.logit(pair[1], self._match_type))


def _register(
    registration: Registration,
    shown: Pixels | None,
    match: GeometricMatch | None,
) -> RegistrationSimilarity | None:
    if shown is None:
        return None
    if match is None:
        return registration.compare_whole(shown)
    return registration.compare_transformed(
        shown, match.matrix, (match.query_size, match.candidate_size)
    )


def _measured(query: CopyQuery, proposed: Collection[int]) -> Found:
    return [
        (candidate.image, _evidence(candidate, query.view.sha256))
        for candidate in measure_distances(query.view, proposed)
    ]


def _evidence(candidate: CopyCandidate, sha256: str) -> CopyEvidence:
    evidence = CopyEvidence.of(candidate.distances)
    return replace(evidence, same_file=bool(sha256) and candidate.image.sha256 == sha256)


def _packed_features(images: Sequence[Image]) -> dict[Image, bytes]:
    packed = stored_local_features([image.pk for image in images])
    return {image: packed[image.pk] for image in images if image.pk in packed}


def search_copies(
    query: CopyQuery,
    match_type: str,
    *,
    threshold: float,
    limit: int,
    filters: Filters | None,
    rule: ThresholdRule,
) -> list[ImageMatch]:
    """Return images within ``threshold`` (1 − confidence), the most certain first, then by id.

    A query with too little information finds only what is certain.
    """
    if query.low_information:
        threshold = min(threshold, confidence.calibrations()[match_type].precise)
    ranked = sorted(
        gather_evidence(query, match_type, filters),
        key=lambda pair: (-confidence.logit(pair[1], match_type), pair[0].pk),
    )
    matches = []
    for image, evidence in ranked[:limit]:
        certainty = confidence.confidence(evidence, match_type)
        distance = confidence.distance(evidence, match_type, rule.digits)
        if rule.is_met(distance, threshold):
            matches.append(
                ImageMatch(
                    image,
                    distance,
                    confidence=round(certainty, 6),
                    methods=evidence.methods(),
                    geometry=evidence.match,
                )
            )
    return matches


def evidence_of_pair(a: Picture, b: Picture) -> CopyEvidence:
    """Return the evidence of two pictures that are not stored. Raises ``Unavailable``."""
    copy = descriptors.get_copy()
    of_b = copy.describe([b])[0]
    query = copy.query(a)
    if of_b is None or not query.vectors:
        return CopyEvidence()
    distances = {v: copy.distance({"cnn": a}, of_b) for v, a in query.vectors.items()}
    match = geometry.verify(query.features, LocalFeatures.unpack(of_b["local_features"]))
    return CopyEvidence(
        cnn=min((far for view, far in distances.items() if view not in PART_VIEWS), default=None),
        part=min((far for view, far in distances.items() if view in PART_VIEWS), default=None),
        match=match,
        similarity=_register(Registration(a.rgb), b.rgb, match),
    )


def _describe_pixels(picture: Picture) -> tuple[Any, list[Any], Box]:
    """Return imgsmlr's columns, pdq's with and without borders, and the box within the borders."""
    (haar,) = descriptors.get("imgsmlr").describe([picture])
    pictures: list[Any] = [picture]
    box = trim(picture.rgb)
    if box:
        trimmed = cropped(picture.rgb, box)
        pictures.insert(0, TrimmedPicture(trimmed, trimmed))
    return haar, descriptors.get("pdq").describe(pictures), box or whole_box(picture.rgb)


def _copy_query(picture: Picture, match_type: str) -> CopyDescription | None:
    """None if the model is missing; ``auto`` then searches without it."""
    try:
        return descriptors.get_copy().query(picture, WHOLE_VIEWS)
    except Unavailable:
        if match_type == "copy":
            raise
        return None


def _part_vectors(picture: Picture) -> list[str]:
    vectors = descriptors.get_copy().embed_views(picture, PART_VIEWS)
    return [encode(vector) for vector in vectors.values()]


def _clip(picture: Picture) -> Mapping[str, Any]:
    if not descriptors.available("clip"):
        return {}
    model = versions.searched()
    (columns,) = model.describe([picture])
    vectors: Sequence[str] = [encode(columns["clip"])] if columns else []
    return {"clip": vectors, "clip_version": model.version}
