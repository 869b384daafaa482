"""Search for copies: candidates of every index, verified by geometry, ranked by confidence."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gallery.imaging import descriptors, geometry
from gallery.imaging.descriptors.base import Pixels
from gallery.imaging.descriptors.copy import CORES, PARTS
from gallery.imaging.descriptors.copy import Query as CopyDescription
from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.image_registration import Likeness, Looks
from gallery.imaging.local_features import Features
from gallery.imaging.pictures import Picture
from gallery.imaging.trimming import Box, trim
from gallery.items import versions
from gallery.items.file_storage import thumbnail_rgb
from gallery.items.models import Image
from gallery.items.vectors import encode
from gallery.search import confidence
from gallery.search.candidates import (
    Candidate,
    Probe,
    candidates,
    local_features,
    stored_probe,
)
from gallery.search.confidence import Evidence
from gallery.search.nearest import Comparison, Filters, Match
from gallery.shared.errors import Unavailable

VERIFIED = 50
"""Candidates whose local features are compared: those that their distances speak for most."""

LOOKED_AT = 5
"""Candidates that are laid upon the query: the strongest, and so many after each likely copy. Each
takes about 3 ms."""

UNLIKE = 0.5
"""Cosine distance as a whole beyond which a picture that shares no places is not laid upon the
query: of 560 edited pictures it found none of those."""

FEW_FEATURES = 40
"""A picture of a lower PDQ quality than 50 and fewer key points has nothing to go by."""


Shown = TypeVar("Shown", bound=Hashable)
"""Anything with a picture that a query may show."""

Known = list[tuple[Shown, Evidence]]
"""What is known about each."""

Found = Known[Image]


@dataclass(frozen=True)
class CopyQuery:
    """A described query. ``features`` None: it has none, or they were never stored.

    ``looks`` None: its picture is not at hand; ``inside``: what its borders leave of it.
    ``exclude``: an image that is no answer.
    """

    probe: Probe
    features: Features | None
    looks: Looks | None = None
    inside: Box | None = None
    low_information: bool = False
    exclude: int = 0


@dataclass(frozen=True)
class Trimmed:
    """A picture without its borders, as descriptors read pictures."""

    rgb: Pixels
    legacy_rgb: Pixels


def describe_query(picture: Picture, match_type: str, *, sha256: str = "") -> CopyQuery:
    """What ``match_type`` (copy or auto) looks a picture up by. Raises ``Unavailable``.

    ``sha256``: of its file, so that the same file is found whatever it shows.
    """
    # Each spends nearly all of its time outside of Python.
    with ThreadPoolExecutor(1) as pool:
        pixels = pool.submit(_describe_pixels, picture)
        copied = _copy_query(picture, match_type)
        haar, pdqs, inside = pixels.result()
    every = match_type == "auto"
    vectors = copied.vectors if copied else {}
    probe = Probe(
        haar=[encode(haar["haar"])] if haar and every else [],
        pattern=encode(haar["pattern"]) if haar and every else None,
        pdq=[columns["pdq"] for columns in pdqs if columns] if every else [],
        cnn=[encode(vector) for view, vector in vectors.items() if view not in PARTS],
        part=[encode(vector) for view, vector in vectors.items() if view in PARTS],
        **(_clip(picture) if every else {}),
        sha256=sha256,
    )
    features = copied.features if copied else None
    quality = max((columns["pdq_quality"] for columns in pdqs if columns), default=0)
    poor = quality < LOW_QUALITY and (features is None or len(features) < FEW_FEATURES)
    return CopyQuery(probe, features, Looks(picture.rgb), inside, low_information=poor)


def stored_query(image: Image, match_type: str, *, itself: bool = False) -> CopyQuery:
    """The same of a stored image, from its rows alone: its own views, not turned or mirrored.

    ``itself``: whether the image is an answer too.
    """
    version = versions.active() or ""
    probe = stored_probe(image.pk, version if match_type == "auto" else "")
    if match_type == "copy":
        probe = Probe(cnn=probe.cnn)
    if itself:
        probe = replace(probe, sha256=image.sha256)
    packed = local_features([image.pk]).get(image.pk)
    shown = thumbnail_rgb(image)
    return CopyQuery(
        probe,
        Features.unpack(packed) if packed else None,
        None if shown is None else Looks(shown),
        low_information=not probe.sources(),
        exclude=0 if itself else image.pk,
    )


def evidence_of(query: CopyQuery, match_type: str, filters: Filters | None = None) -> Found:
    """What is known about every candidate, in no order; the best are verified and looked at."""
    found = [
        (candidate.image, _evidence(candidate, query.probe.sha256))
        for candidate in candidates(query.probe, filters, exclude=query.exclude)
    ]

    def packed_features(images: Sequence[Image]) -> dict[Image, bytes]:
        packed = local_features([image.pk for image in images])
        return {image: packed[image.pk] for image in images if image.pk in packed}

    return judged(query, found, match_type, packed_features=packed_features, pixels=thumbnail_rgb)


def judged(
    query: CopyQuery,
    found: Known[Shown],
    match_type: str,
    *,
    packed_features: Callable[[Sequence[Shown]], Mapping[Shown, bytes]],
    pixels: Callable[[Shown], Pixels | None],
    verified: int = VERIFIED,
) -> Known[Shown]:
    """Pictures whose distances are known, in no order: the best are verified and looked at.

    ``packed_features``: the local features of those that have some; ``pixels``: a picture as it
    is kept, if it is; ``verified``: how many are, at most.
    """
    found = _verified(query, found, match_type, packed_features, verified)
    return _looked_at(query, found, match_type, pixels, verified)


def _verified(
    query: CopyQuery,
    found: Known[Shown],
    match_type: str,
    packed_features: Callable[[Sequence[Shown]], Mapping[Shown, bytes]],
    count: int,
) -> Known[Shown]:
    if query.features is None or not len(query.features):
        return found
    found = _strongest_first(found, match_type)
    packed = packed_features([shown for shown, _ in found[:count]])
    every = geometry.verify_many(query.features, list(packed.values()), CORES)
    matches = dict(zip(packed, every, strict=True))
    return [(shown, replace(evidence, match=matches.get(shown))) for shown, evidence in found]


def _looked_at(
    query: CopyQuery,
    found: Known[Shown],
    match_type: str,
    pixels: Callable[[Shown], Pixels | None],
    count: int,
) -> Known[Shown]:
    """Goes on past the strongest as long as likely copies turn up: there may be many."""
    looks = query.looks
    if looks is None:
        return found
    found = _strongest_first(found, match_type)
    last_copy = 0
    for place, (shown, evidence) in enumerate(found[:count]):
        if place - last_copy >= LOOKED_AT:
            break
        if match_type == "copy" and evidence.match is None and (evidence.cnn or 0.0) > UNLIKE:
            continue
        likeness = _likeness(looks, query.inside, pixels(shown), evidence.match)
        found[place] = shown, replace(evidence, likeness=likeness)
        if confidence.logit(found[place][1], match_type) > 0:
            last_copy = place + 1
    return found


def _likeness(
    looks: Looks, inside: Box | None, shown: Pixels | None, match: geometry.Match | None
) -> Likeness | None:
    if shown is None:
        return None
    if match is None:
        return looks.as_whole(shown, inside)
    return looks.upon(shown, match.matrix, (match.query_size, match.candidate_size))


def _strongest_first(found: Known[Shown], match_type: str) -> Known[Shown]:
    return sorted(found, key=lambda pair: -confidence.logit(pair[1], match_type))


def _evidence(candidate: Candidate, sha256: str) -> Evidence:
    evidence = Evidence.of(candidate.distances)
    return replace(evidence, same_file=candidate.image.sha256 == sha256)


def search_copies(
    query: CopyQuery,
    match_type: str,
    *,
    threshold: float,
    limit: int,
    filters: Filters | None,
    comparison: Comparison,
) -> list[Match]:
    """Images within ``threshold`` (1 − confidence), the most certain first, then by id.

    Of a query without information only what is certain is answered, never a wild match.
    """
    if query.low_information:
        threshold = min(threshold, confidence.calibrations()[match_type].precise)
    ranked = sorted(
        evidence_of(query, match_type, filters),
        key=lambda pair: (-confidence.logit(pair[1], match_type), pair[0].pk),
    )
    matches = []
    for image, evidence in ranked[:limit]:
        sure = confidence.confidence(evidence, match_type)
        distance = round(1.0 - sure, comparison.digits)
        if distance < threshold or (distance == threshold and comparison.operator == "<="):
            matches.append(
                Match(
                    image,
                    distance,
                    confidence=round(sure, 6),
                    methods=evidence.methods(),
                    geometry=evidence.match,
                )
            )
    return matches


def compare(a: Picture, b: Picture) -> Evidence:
    """The evidence of two pictures that are not stored. Raises ``Unavailable``."""
    copy = descriptors.get_copy()
    of_b = copy.describe([b])[0]
    query = copy.query(a)
    if of_b is None or not query.vectors:
        return Evidence()
    distances = {v: copy.distance({"cnn": a}, of_b) for v, a in query.vectors.items()}
    match = geometry.verify(query.features, Features.unpack(of_b["local_features"]))
    looks = Looks(a.rgb)
    return Evidence(
        cnn=min((far for view, far in distances.items() if view not in PARTS), default=None),
        part=min((far for view, far in distances.items() if view in PARTS), default=None),
        match=match,
        likeness=looks.upon(b.rgb, match.matrix, (match.query_size, match.candidate_size))
        if match
        else looks.as_whole(b.rgb, trim(a.rgb)),
    )


def _describe_pixels(picture: Picture) -> tuple[Any, list[Any], Box | None]:
    """imgsmlr's columns, pdq's of the picture and of what its borders leave, and where that is."""
    (haar,) = descriptors.get("imgsmlr").describe([picture])
    pictures: list[Any] = [picture]
    if box := trim(picture.rgb):
        left, top, right, bottom = box
        inside = picture.rgb[top:bottom, left:right]
        pictures.insert(0, Trimmed(inside, inside))
    return haar, descriptors.get("pdq").describe(pictures), box


def _copy_query(picture: Picture, match_type: str) -> CopyDescription | None:
    """The learned part; ``auto`` goes on without it where it is not available."""
    try:
        return descriptors.get_copy().query(picture)
    except Unavailable:
        if match_type == "copy":
            raise
        return None


def _clip(picture: Picture) -> Mapping[str, Any]:
    if not descriptors.available("clip"):
        return {}
    model = versions.searched()
    (columns,) = model.describe([picture])
    vectors: Sequence[str] = [encode(columns["clip"])] if columns else []
    return {"clip": vectors, "clip_version": model.version}
