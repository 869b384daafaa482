"""Common parts of operations in the OpenAPI document: request bodies and error answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.plumbing import ComponentRegistry

from gallery.api.bodies import BodySerializer
from gallery.api.serializers import ErrorSerializer

ALWAYS = (400, 401, 403, 406, 429)
"""Malformed query, missing access, unknown Accept header, spent budget."""
UNASKED = ("cursor", "format")
"""Parameters that links of an answer have, and that nobody types."""
WITH_BODY = (413, 415)
"""A body that is too large, or of an unknown type."""


def answers(good: Mapping[int, Any], *refusals: int, body: bool = False) -> dict[int, Any]:
    """Return status → serializer: ``good``, and errors for ``refusals`` and for any request."""
    statuses = {*ALWAYS, *(WITH_BODY if body else ()), *refusals}
    return {**good, **dict.fromkeys(sorted(statuses - good.keys()), ErrorSerializer)}


def json(serializer: Any) -> dict[str, Any]:
    return {"application/json": serializer}


def json_or_files(serializer: Any) -> dict[str, Any]:
    """A form comes first: pages that send requests offer it first, with a button for the file."""
    return {"multipart/form-data": serializer, "application/json": serializer}


def body_of(view: Any, method: str) -> type[BodySerializer] | None:
    """Return the documented body of a view's method: the first of its media types."""
    handler = getattr(view, method.lower(), None)
    described = getattr(handler, "kwargs", {}).get("schema")
    if described is None:
        return None
    schema = described()
    schema.view, schema.method = view, method
    by_type = schema.get_request_serializer()
    return next(iter(by_type.values())) if by_type else None


def query_of(view: Any, method: str) -> list[dict[str, Any]]:
    """Return the documented parameters of a view's method in the query, as OpenAPI has them."""
    known = type(view), method
    if known not in _queries:
        handler = getattr(view, method.lower(), None)
        described = getattr(handler, "kwargs", {}).get("schema")
        found = []
        if described is not None:
            schema = described()
            schema.view, schema.method, schema.path = view, method, ""
            schema.registry = ComponentRegistry()
            found = schema._get_parameters()
        _queries[known] = [
            one for one in found if one["in"] == "query" and one["name"] not in UNASKED
        ]
    return _queries[known]


_queries: dict[tuple[type, str], list[dict[str, Any]]] = {}
"""They are the same for each request."""
