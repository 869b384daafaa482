"""Searches for copies: takes candidates from every index, verifies them by geometry, ranks them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from gallery.imaging import descriptors, geometry, local_features
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.descriptors.copy import PART_VIEWS, Copy
from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.descriptors.stored_patterns import PatternQuery
from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.image_registration import Registration, RegistrationSimilarity
from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.pixels import (
    Box,
    Pixels,
    area_of,
    cropped,
    size_of,
    whole_box,
    working_copy,
)
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
    find_candidates,
    stored_local_features,
    stored_view,
)
from gallery.search.nearest import Filters, ImageMatch, ThresholdRule
from gallery.shared.errors import Unavailable

MAX_VERIFIED = 50
"""Candidates whose local features are compared: those with the best distances."""

FIRST, BATCH = 5, 10
"""Candidates that a search verifies at first, and at a time."""

MAX_REGISTERED_WITHOUT_COPY, MAX_REGISTERED_AFTER_FOUND = 5, 2
"""Registration ends after so many unlikely copies in a row: before and after a sure copy of the
whole query is found. Each takes about 3 ms. With 3 before, 3 of 1,200 edited copies were lost."""

MAX_REGISTERED_DISTANCE = {"copy": 0.5, "auto": 0.65}
MAX_REGISTERED_BITS = 52
"""A picture without a geometric match is registered up to this cosine distance, or these bits of
PDQ. Of 560 edited pictures (copy) and 340 (auto) registration confirmed none beyond them."""

FEW_FEATURES = 40
"""A picture with fewer key points and a PDQ quality below 50 has too little information."""

Item = TypeVar("Item", bound=Hashable)
"""An item with a picture that may be a copy of the query."""

Rated = list[tuple[Item, CopyEvidence]]
"""Items, each with the evidence collected so far."""


@dataclass(frozen=True)
class CopyQuery:
    """A described query. ``features`` None: it has none, or they were never stored.

    ``registration`` None: its picture is not available. ``exclude``: the id of an image that is
    left out. ``inner_share``: the share of its area within plain margins, 0 to 1. ``further``: what
    computes more vectors, one after the other, as long as nothing shows all of it.
    """

    view: QueryView
    features: LocalFeatures | None
    registration: Registration | None = None
    low_information: bool = False
    exclude: int = 0
    inner_share: float = 1.0
    further: tuple[Callable[[], QueryView], ...] = ()

    def complete(self) -> CopyQuery:
        """Return the query with all vectors. Raises ``Unavailable``."""
        query = self
        while query.further:
            query = query.with_views(query.further[0]())
        return query

    def with_views(self, views: QueryView) -> CopyQuery:
        """Return the query with the vectors of the first of ``further``."""
        cnn, part = [*self.view.cnn, *views.cnn], [*self.view.part, *views.part]
        return replace(self, view=replace(self.view, cnn=cnn, part=part), further=self.further[1:])


@dataclass(frozen=True)
class TrimmedPicture:
    """A picture without its borders, for descriptors."""

    rgb: Pixels
    legacy_rgb: Pixels


def describe_query(picture: Picture, match_type: str, *, sha256: str = "") -> CopyQuery:
    """Describe a picture for ``match_type`` copy or auto. Raises ``Unavailable``.

    ``sha256``: of its file, so that the same file is always found.
    """
    every, model, working = match_type == "auto", _model(match_type), working_copy(picture.rgb)
    # Both threads release Python's lock for nearly all of their time.
    with ThreadPoolExecutor(1) as pool:
        features = (
            pool.submit(local_features.extract, working, size_of(picture.rgb)) if model else None
        )
        view = QueryView(
            cnn=_vectors(model, working, ["full"]) if model else [],
            **(_clip(picture) if every else {}),
            sha256=sha256,
        )
        # In the picture itself: some margins are lost when it is reduced.
        box = trim(picture.rgb) or whole_box(picture.rgb)
        (haar,) = descriptors.get("imgsmlr").describe([picture]) if every else [None]
        pdqs = _pdqs(picture, box)
        local = features.result() if features else None
    if every:
        view = replace(
            view,
            haar=[encode(haar["haar"])] if haar else [],
            pattern=PatternQuery.of(haar["pattern"]) if haar else None,
            pdq=[columns["pdq"] for columns in pdqs],
        )
    quality = max((columns["pdq_quality"] for columns in pdqs), default=0)
    poor = quality < LOW_QUALITY and (local is None or len(local) < FEW_FEATURES)
    return CopyQuery(
        view,
        local,
        Registration(picture.rgb, inner_box=box),
        low_information=poor,
        inner_share=area_of(box) / area_of(whole_box(picture.rgb)),
        further=_further(model, picture.rgb, box) if model else (),
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


def gather_evidence(
    query: CopyQuery, match_type: str, filters: Filters | None = None
) -> list[tuple[CopyCandidate, CopyEvidence]]:
    """Return evidence for every candidate, in no order; the best are verified and registered.

    Further vectors of the query propose images only while no image is surely a copy of all of it.
    """
    candidates: dict[int, CopyCandidate] = {}
    verifier = CandidateVerifier[int](
        query,
        match_type,
        packed_features=stored_local_features,
        pixels=lambda pk: thumbnail_rgb(candidates[pk].image),
    )
    found = find_candidates(query.view, filters, exclude=query.exclude)
    candidates |= {one.pk: one for one in found}
    while query.further and not verifier.finds_whole(_rated(query, candidates), FIRST):
        views = query.further[0]()
        query = query.with_views(views)
        if views.sources():
            found = find_candidates(
                query.view, filters, exclude=query.exclude, asked=views, known=candidates
            )
            candidates |= {one.pk: one for one in found}
    rated = verifier.verify_until_found(_rated(query, candidates), MAX_VERIFIED)
    return [(candidates[pk], evidence) for pk, evidence in rated]


def _rated(query: CopyQuery, candidates: Mapping[int, CopyCandidate]) -> Rated[int]:
    sha256 = query.view.sha256
    return [
        (pk, CopyEvidence.of(one.distances, same_file=bool(sha256) and one.sha256 == sha256))
        for pk, one in candidates.items()
    ]


@dataclass(slots=True, eq=False)
class _Weighed(Generic[Item]):
    """An item, the evidence collected so far, and the log-odds of that.

    ``strength``: of the evidence without registration, by which items are registered: those that
    were, and gained little by it, must not stay before others.
    """

    item: Item
    evidence: CopyEvidence
    strength: float
    logit: float


class CandidateVerifier(Generic[Item]):
    """Verifies and registers the best candidates of one query, each of them once.

    ``packed_features`` returns the local features of those items that have some, ``pixels`` an
    item's stored picture if there is one. Items are looked up by their hash often.
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
        candidates = self._by_distances(found)
        self._verify(candidates, most)
        return [(one.item, one.evidence) for one in candidates]

    def finds_whole(self, found: Rated[Item], most: int) -> bool:
        """``verify``, and return whether an item is surely a copy that shows all of the query."""
        candidates = self._by_distances(found)
        self._verify(candidates, most)
        return any(map(self._shows_whole, candidates))

    def sharing(self, items: Sequence[Item]) -> list[Item]:
        """Return those of the items that geometry finds in the query."""
        self._match([self._weighed(item, CopyEvidence()) for item in items])
        return [item for item in items if self._matches.get(item)]

    def verify_until_found(self, found: Rated[Item], most: int) -> Rated[Item]:
        """``verify`` some at a time, and end when an item is found whole and no likely copy is
        among the last ones."""
        candidates = self._by_distances(found)
        for count in (FIRST, *range(BATCH, most, BATCH)):
            self._verify(candidates, count)
            likely = (one.logit > 0 for one in candidates[count - min(count, BATCH) // 2 : count])
            if any(map(self._shows_whole, candidates)) and not any(likely):
                break
        else:
            self._verify(candidates, most)
        return [(one.item, one.evidence) for one in candidates]

    def _by_distances(self, found: Rated[Item]) -> list[_Weighed[Item]]:
        """Return the strongest by distances first, with what is known of them from before."""
        candidates = [self._weighed(item, evidence) for item, evidence in found]
        candidates.sort(key=_strength)
        for one in candidates:
            self._add_match(one, self._matches.get(one.item))
            self._add_similarity(one, self._similarities.get(one.item))
        return candidates

    def _weighed(self, item: Item, evidence: CopyEvidence) -> _Weighed[Item]:
        logit = confidence.logit(evidence, self._match_type)
        return _Weighed(item, evidence, logit, logit)

    def _add_match(self, one: _Weighed[Item], match: GeometricMatch | None) -> None:
        if match is not None:
            one.evidence = replace(one.evidence, match=match)
            one.strength = one.logit = confidence.logit(one.evidence, self._match_type)

    def _add_similarity(
        self, one: _Weighed[Item], similarity: RegistrationSimilarity | None
    ) -> None:
        if similarity is not None:
            one.evidence = replace(one.evidence, similarity=similarity)
            one.logit = confidence.logit(one.evidence, self._match_type)

    def _verify(self, candidates: Sequence[_Weighed[Item]], most: int) -> None:
        """``candidates``: the strongest by distances first."""
        self._match(candidates[:most])
        self._register(sorted(candidates, key=_strength)[:most])

    def _is_far(self, evidence: CopyEvidence) -> bool:
        """Return whether registration would confirm nothing, to judge by the vectors."""
        cnn, pdq = evidence.cnn or 0.0, evidence.pdq
        return cnn > MAX_REGISTERED_DISTANCE[self._match_type] and (
            pdq is None or pdq > MAX_REGISTERED_BITS
        )

    def _shows_whole(self, one: _Weighed[Item]) -> bool:
        if one.logit <= 0:
            return False
        match, whole = one.evidence.match, geometry.WHOLE * self._query.inner_share
        return (match is None or match.query_area >= whole) and (
            confidence.certainty(confidence.distance_of(one.logit), self._match_type) == "sure"
        )

    def _match(self, candidates: Sequence[_Weighed[Item]]) -> None:
        features = self._query.features
        if features is None or not len(features):
            return
        new = [one for one in candidates if one.item not in self._matches]
        if not new:
            return
        packed = self._packed_features([one.item for one in new])
        every = geometry.verify_many(features, list(packed.values()))
        found = dict(zip(packed, every, strict=True))
        for one in new:
            match = self._matches[one.item] = found.get(one.item)
            self._add_match(one, match)

    def _register(self, candidates: Sequence[_Weighed[Item]]) -> None:
        """Register the strongest, as long as likely copies are found."""
        registration = self._query.registration
        if registration is None:
            return
        last_copy, most_unlikely = 0, MAX_REGISTERED_WITHOUT_COPY
        for place, one in enumerate(candidates):
            if place - last_copy >= most_unlikely:
                break
            match = one.evidence.match
            if match is None and self._is_far(one.evidence):
                continue
            if one.item not in self._similarities:
                shown = self._pixels(one.item)
                self._similarities[one.item] = (
                    None if shown is None else registration.compare(shown, match)
                )
                self._add_similarity(one, self._similarities[one.item])
            if one.logit > 0:
                last_copy = place + 1
                if self._shows_whole(one):
                    most_unlikely = MAX_REGISTERED_AFTER_FOUND


def _strength(one: _Weighed[Any]) -> float:
    return -one.strength


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
    weighed = [
        (confidence.logit(evidence, match_type), candidate, evidence)
        for candidate, evidence in gather_evidence(query, match_type, filters)
    ]
    weighed.sort(key=lambda one: (-one[0], one[1].pk))
    matches = []
    for logit, candidate, evidence in weighed[:limit]:
        distance = confidence.distance_of(logit, rule.digits)
        if not rule.is_met(distance, threshold):
            break
        matches.append(
            ImageMatch(
                candidate.image,
                distance,
                confidence=round(confidence.probability(logit), 6),
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
        similarity=Registration(a.rgb).compare(b.rgb, match),
    )


def _model(match_type: str) -> Copy | None:
    """None if the model is missing; ``auto`` then searches without it. Raises ``Unavailable``."""
    try:
        model = descriptors.get_copy()
        model.load()
    except Unavailable:
        if match_type == "copy":
            raise
        return None
    return model


def _pdqs(picture: Picture, box: Box) -> list[Any]:
    """Return pdq's columns of what lies within the margins, and of the whole picture."""
    pictures: list[Any] = [picture]
    if box != whole_box(picture.rgb):
        inner = cropped(picture.rgb, box)
        pictures.insert(0, TrimmedPicture(inner, inner))
    return [columns for columns in descriptors.get("pdq").describe(pictures) if columns]


def _further(model: Copy, rgb: Pixels, box: Box) -> tuple[Callable[[], QueryView], ...]:
    """Return what computes the vector of what the margins enclose, and those of the quarters."""

    def inner() -> QueryView:
        return QueryView(cnn=_vectors(model, cropped(rgb, box), ["full"]))

    def parts() -> QueryView:
        return QueryView(part=_vectors(model, rgb, PART_VIEWS))

    return (parts,) if box == whole_box(rgb) else (inner, parts)


def _vectors(model: Copy, rgb: Pixels, views: Sequence[str]) -> list[str]:
    return [encode(vector) for vector in model.embed_views(rgb, views).values()]


def _clip(picture: Picture) -> Mapping[str, Any]:
    if not descriptors.available("clip"):
        return {}
    model = versions.searched()
    (columns,) = model.describe([picture])
    vectors: Sequence[str] = [encode(columns["clip"])] if columns else []
    return {"clip": vectors, "clip_version": model.version}
