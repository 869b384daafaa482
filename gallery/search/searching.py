"""A search from end to end: get the query's picture, describe it, find its neighbours."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gallery.imaging import decoding, descriptors
from gallery.imaging.descriptors.base import Descriptor
from gallery.imaging.pictures import Picture
from gallery.items import conf, versions
from gallery.items.file_storage import thumbnail_rgb
from gallery.items.models import Image
from gallery.items.publishing import check_query
from gallery.net.fetching import fetch
from gallery.search import confidence, copy_search, explaining
from gallery.search.confidence import MATCH_TYPES as COPY_TYPES
from gallery.search.match_types import MATCH_TYPES
from gallery.search.nearest import (
    INCLUSIVE,
    Comparison,
    Filters,
    Match,
    nearest,
    stored_columns,
)
from gallery.shared.access import NOBODY, Sender
from gallery.shared.errors import NotFound, UserError


@dataclass(frozen=True)
class Query:
    """What to look for: exactly one of a link, a file's bytes, an image's id, or words.

    ``sender``: who is told whether a link or a file may be searched with.
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
class Found:
    """Matches, nearest first, and how they were found.

    ``low_information``: the query has nothing this match type could compare.
    """

    match_type: str
    threshold: float
    matches: Sequence[Match] = ()
    low_information: bool = False
    took_ms: float = 0.0
    unavailable: Mapping[str, str] = field(default_factory=dict)


def unavailable() -> dict[str, str]:
    """Match types that cannot be used now → the sentence that says why."""
    reasons = {name: descriptors.why_unavailable(name) for name in descriptors.REGISTRY}
    return {name: reason for name, reason in reasons.items() if reason}


def default_match_type(*, words: bool = False) -> str:
    """``auto``; words need ``clip``."""
    return "clip" if words else "auto"


def original_match_type() -> str:
    """The original's default: ``clip`` where it is available, else ``imgsmlr``."""
    return "clip" if descriptors.available("clip") else "imgsmlr"


def search(
    query: Query,
    *,
    match_type: str,
    threshold: float | None = None,
    limit: int,
    filters: Filters | None = None,
    comparison: Comparison = INCLUSIVE,
    explain: bool = False,
) -> Found:
    """Find the images nearest to the query. ``threshold`` None = where the type is precise.

    ``explain``: draw the first matches that geometry proves. Raises ``UnknownMatchType``,
    ``Unavailable``, ``NotFound`` (no such id), and what fetching and decoding raise.
    """
    started = time.perf_counter()
    if match_type not in MATCH_TYPES:
        raise descriptors.UnknownMatchType(match_type, MATCH_TYPES)
    if match_type in COPY_TYPES and query.text is None:
        found = _search_copies(query, match_type, threshold, limit, filters, comparison, explain)
    else:
        found = _search_one(query, match_type, threshold, limit, filters, comparison)
    took = round((time.perf_counter() - started) * 1000, 2)
    return replace(found, took_ms=took, unavailable=unavailable())


def _search_copies(
    query: Query,
    match_type: str,
    threshold: float | None,
    limit: int,
    filters: Filters | None,
    comparison: Comparison,
    explain: bool,
) -> Found:
    if threshold is None:
        threshold = MATCH_TYPES[match_type].precise
    if query.image_id is not None:
        image = _ready(query.image_id)
        described = copy_search.stored_query(image, match_type, itself=True)
        shown = thumbnail_rgb(image) if explain else None
    else:
        data = _query_bytes(query)
        picture = decoding.decode(data, conf.limits())
        digest = hashlib.sha256(data).hexdigest()
        described = copy_search.describe_query(picture, match_type, sha256=digest)
        shown = picture.rgb if explain else None
    matches = copy_search.search_copies(
        described,
        match_type,
        threshold=threshold,
        limit=limit,
        filters=filters,
        comparison=comparison,
    )
    if shown is not None:
        matches = explaining.explain(shown, matches)
    return Found(match_type, threshold, matches, low_information=described.low_information)


def _search_one(
    query: Query,
    match_type: str,
    threshold: float | None,
    limit: int,
    filters: Filters | None,
    comparison: Comparison,
) -> Found:
    """By a single descriptor."""
    descriptor = versions.searched() if match_type == "clip" else descriptors.get(match_type)
    if threshold is None:
        threshold = MATCH_TYPES[match_type].precise
    version = descriptor.version
    columns = _columns(query, match_type, descriptor, version)
    matches = (
        nearest(
            match_type,
            version,
            columns,
            threshold=threshold,
            limit=limit,
            filters=filters,
            comparison=comparison,
        )
        if columns
        else []
    )
    return Found(match_type, threshold, matches, low_information=not columns)


def _query_bytes(query: Query) -> bytes:
    """A picture to search with, if it may be."""
    data = bytes_of(url=query.url, data=query.data)
    check_query(data, query.sender)
    return data


def picture_of(*, url: str | None = None, data: bytes | None = None) -> Picture:
    """The decoded picture of a link or of a file's bytes."""
    return decoding.decode(bytes_of(url=url, data=data), conf.limits())


def bytes_of(*, url: str | None = None, data: bytes | None = None) -> bytes:
    """The bytes as given, or what the link holds."""
    if data is not None:
        return data
    if url is None:
        raise UserError("Give the picture as a url or as a file.")
    return fetch(url, conf.fetch_policy()).data


def compare(a: Picture, b: Picture) -> dict[str, Any]:
    """The distance of two pictures by every available descriptor; None where one has none."""
    result: dict[str, Any] = {}
    for name in descriptors.available_names():
        descriptor = descriptors.get(name)
        of_a, of_b = descriptor.describe([a, b])
        result[name] = descriptor.explain(of_a, of_b) if of_a and of_b else {"distance": None}
    if "copy" in result:
        result["copy"] = _compare_copies(a, b)
    return result


def _compare_copies(a: Picture, b: Picture) -> dict[str, Any]:
    evidence = copy_search.compare(a, b)
    sure = round(confidence.confidence(evidence, "copy"), 6)
    return {
        "distance": round(1.0 - sure, 6),
        "confidence": sure,
        "methods": evidence.methods(),
        "geometry": evidence.match.as_dict() if evidence.match else None,
    }


def _ready(image_id: int) -> Image:
    image = Image.objects.ready().filter(pk=image_id).first()
    if image is None:
        raise NotFound(f"There is no image {image_id} to search with.", field="id")
    return image


def _columns(
    query: Query, match_type: str, descriptor: Descriptor, version: str
) -> Mapping[str, Any] | None:
    if query.text is not None:
        if match_type != "clip":
            raise UserError(
                f"Words are searched by clip; {match_type} needs a picture.", field="match_type"
            )
        (vector,) = descriptor.describe_text([query.text])
        return {"clip": vector}
    if query.image_id is not None:
        return _stored(query.image_id, match_type, version)
    picture = decoding.decode(_query_bytes(query), conf.limits())
    (columns,) = descriptor.describe([picture])
    return columns


def _stored(image_id: int, match_type: str, version: str) -> Mapping[str, Any] | None:
    _ready(image_id)
    return stored_columns(image_id, match_type, version)
