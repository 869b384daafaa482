"""Searches for images: reads the query, describes it and finds near images."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.pictures import Picture, ReadFile
from gallery.imaging.descriptors.base import Descriptor
from gallery.imaging.drawing import side_by_side
from gallery.imaging.pixels import Pixels
from gallery.items import conf, versions
from gallery.items.file_storage import thumbnail_rgb
from gallery.items.models import Image
from gallery.items.publishing import check_query
from gallery.net.fetching import fetch
from gallery.search import confidence, copy_search, replica
from gallery.search.confidence import MATCH_TYPES as COPY_TYPES
from gallery.search.match_types import MATCH_TYPES
from gallery.search.nearest import (
    INCLUSIVE,
    Filters,
    ImageMatch,
    ThresholdRule,
    nearest_images,
    still_shown,
    stored_columns,
)
from gallery.shared.access import NOBODY, Sender
from gallery.shared.errors import NotFound, UserError

QUERY_SIDE = 1024
"""Longest side in pixels of a copy of a query's picture. It is a JPEG of about 200 KB."""

MAX_EXPLAINED = 10
"""Matches that are drawn; each takes about 10 ms and 60 KB."""


@dataclass(frozen=True)
class ImageQuery:
    """What to look for: exactly one of a link, a file's bytes, an image's id, or words.

    ``sender``: whose right to search with a link or file is checked.
    """

    url: str | None = None
    data: bytes | None = None
    image_id: int | None = None
    text: str | None = None
    sender: Sender = NOBODY

    def __post_init__(self) -> None:
        given = (self.url, self.data, self.image_id, self.text)
        if sum(value is not None for value in given) != 1:
            raise UserError("Give exactly one of file, url, id or text.")


@dataclass(frozen=True)
class SearchResult:
    """Matches, nearest first, and how they were found.

    ``low_information``: the query has nothing that this match type can compare. ``picture``: what
    a link or file shows, if the matches are to be explained.
    """

    match_type: str
    threshold: float
    matches: Sequence[ImageMatch] = ()
    low_information: bool = False
    took_ms: float = 0.0
    picture: Picture | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def shows_query(self, match: ImageMatch) -> bool:
        """Whether the image of a match looks like the query, and is shown clearly to who asks."""
        looks_alike = match.geometry or match.distance <= MATCH_TYPES[self.match_type].recall
        return bool(looks_alike) and not match.image.blurred


def search_images(
    query: ImageQuery,
    *,
    match_type: str,
    threshold: float | None = None,
    limit: int,
    filters: Filters | None = None,
    rule: ThresholdRule = INCLUSIVE,
    explain: bool = False,
) -> SearchResult:
    """Find the images nearest to the query. ``threshold`` None: the default one of the match type.

    ``explain``: draw the first matches that have a geometric match, and return the query's picture.
    Raises ``UnknownMatchType``,
    ``Unavailable``, ``NotFound`` (no such id), and what fetching and decoding raise.
    """
    started = time.perf_counter()
    if match_type not in MATCH_TYPES:
        raise descriptors.UnknownMatchType(match_type, MATCH_TYPES)
    if threshold is None:
        threshold = MATCH_TYPES[match_type].default
    if match_type in COPY_TYPES and query.text is None:
        found = _search_copies(query, match_type, threshold, limit, filters, rule, explain)
    else:
        found = _search_by_descriptor(query, match_type, threshold, limit, filters, rule, explain)
    took = round((time.perf_counter() - started) * 1000, 2)
    return replace(found, took_ms=took, unavailable=unavailable_match_types())


def compare_pictures(a: Picture, b: Picture) -> dict[str, Any]:
    """Return the distance of two pictures by every available match type; None where it has none."""
    result: dict[str, Any] = {}
    for name in descriptors.available_names():
        descriptor = descriptors.get(name)
        of_a, of_b = descriptor.describe([a, b])
        result[name] = descriptor.explain(of_a, of_b) if of_a and of_b else {"distance": None}
    if "copy" in result:
        result["copy"] = _compare_copies(a, b)
    return result


def load_picture(*, url: str | None = None, data: bytes | None = None) -> Picture:
    return decoding.decode(load_bytes(url=url, data=data), conf.limits())


def load_bytes(*, url: str | None = None, data: bytes | None = None) -> bytes:
    if data is not None:
        return data
    if url is None:
        raise UserError("Give the picture as a url or as a file.")
    return fetch(url, conf.fetch_policy()).data


def default_match_type(*, words: bool = False) -> str:
    return "clip" if words else "auto"


def original_match_type() -> str:
    """Return the original's default: ``clip`` where it is available, else ``imgsmlr``."""
    return "clip" if descriptors.available("clip") else "imgsmlr"


def unavailable_match_types() -> dict[str, str]:
    """Return match types that cannot be used now → a sentence that says why."""
    reasons = {name: descriptors.why_unavailable(name) for name in descriptors.REGISTRY}
    return {name: reason for name, reason in reasons.items() if reason}


def add_explanations(query_rgb: Pixels, matches: Sequence[ImageMatch]) -> list[ImageMatch]:
    """Add a JPEG of query and image to each of the first matches that geometry verified."""
    drawn = [
        replace(match, explanation=_draw(query_rgb, match)) for match in matches[:MAX_EXPLAINED]
    ]
    return [*drawn, *matches[MAX_EXPLAINED:]]


def _search_copies(
    query: ImageQuery,
    match_type: str,
    threshold: float,
    limit: int,
    filters: Filters | None,
    rule: ThresholdRule,
    explain: bool,
) -> SearchResult:
    picture = None
    if query.image_id is not None:
        image = _ready_image(query.image_id)
        described = copy_search.stored_query(image, match_type, itself=True)
        shown = thumbnail_rgb(image) if explain else None
    else:
        file = _query_file(query)
        digest = hashlib.sha256(file.data).hexdigest()
        described = copy_search.describe_query(file.picture, match_type, sha256=digest)
        picture = file.picture if explain else None
        shown = picture.rgb if picture else None
    matches = _found(
        lambda: copy_search.search_copies(
            described, match_type, threshold=threshold, limit=limit, filters=filters, rule=rule
        ),
        filters,
    )
    if shown is not None:
        matches = add_explanations(shown, matches)
    return SearchResult(
        match_type,
        threshold,
        matches,
        low_information=described.low_information,
        picture=picture,
    )


def _search_by_descriptor(
    query: ImageQuery,
    match_type: str,
    threshold: float,
    limit: int,
    filters: Filters | None,
    rule: ThresholdRule,
    explain: bool,
) -> SearchResult:
    descriptor = versions.searched() if match_type == "clip" else descriptors.get(match_type)
    columns, picture = _described(query, match_type, descriptor)
    matches: Sequence[ImageMatch] = ()
    if columns:
        matches = _found(
            lambda: nearest_images(
                match_type,
                descriptor.version,
                columns,
                threshold=threshold,
                limit=limit,
                filters=filters,
                rule=rule,
            ),
            filters,
        )
    return SearchResult(
        match_type,
        threshold,
        matches,
        low_information=not columns,
        picture=picture if explain else None,
    )


def _found(
    search: Callable[[], Sequence[ImageMatch]], filters: Filters | None
) -> Sequence[ImageMatch]:
    matches, by_replica = replica.find(search)
    return still_shown(matches, filters) if by_replica else matches


def _described(
    query: ImageQuery, match_type: str, descriptor: Descriptor
) -> tuple[Mapping[str, Any] | None, Picture | None]:
    """Return the descriptor's values for the query, and the picture of a link or a file."""
    if query.text is not None:
        if match_type != "clip":
            raise UserError(
                f"Words are searched by clip; {match_type} needs a picture.", field="match_type"
            )
        (vector,) = descriptor.describe_text([query.text])
        return {"clip": vector}, None
    if query.image_id is not None:
        _ready_image(query.image_id)
        return stored_columns(query.image_id, match_type, descriptor.version), None
    picture = _query_file(query).picture
    (columns,) = descriptor.describe([picture])
    return columns, picture


def _query_file(query: ImageQuery) -> ReadFile:
    data = load_bytes(url=query.url, data=query.data)
    check_query(data, query.sender)
    return ReadFile(data, decoding.decode(data, conf.limits()))


def _ready_image(image_id: int) -> Image:
    image = Image.objects.ready().filter(pk=image_id).first()
    if image is None:
        raise NotFound(f"There is no image {image_id} to search with.", field="id")
    return image


def _draw(query_rgb: Pixels, match: ImageMatch) -> bytes | None:
    if match.geometry is None or (stored := thumbnail_rgb(match.image)) is None:
        return None
    shared = match.geometry
    return side_by_side(query_rgb, shared.query_region, stored, shared.candidate_region)


def _compare_copies(a: Picture, b: Picture) -> dict[str, Any]:
    evidence = copy_search.evidence_of_pair(a, b)
    certainty = round(confidence.confidence(evidence, "copy"), 6)
    return {
        "distance": confidence.distance(evidence, "copy"),
        "confidence": certainty,
        "methods": evidence.methods(),
        "geometry": evidence.match.as_dict() if evidence.match else None,
    }
