"""Common parts of operations in the OpenAPI document: request bodies and error answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gallery.api.serializers import ErrorSerializer

ALWAYS = (400, 401, 403, 406, 429)
"""Malformed query, missing access, unknown Accept header, spent budget."""
WITH_BODY = (413, 415)
"""A body that is too large, or of an unknown type."""


def answers(good: Mapping[int, Any], *refusals: int, body: bool = False) -> dict[int, Any]:
    """Return status → serializer: ``good``, and errors for ``refusals`` and for any request."""
    statuses = {*ALWAYS, *(WITH_BODY if body else ()), *refusals}
    return {**good, **dict.fromkeys(sorted(statuses - good.keys()), ErrorSerializer)}


def json(serializer: Any) -> dict[str, Any]:
    return {"application/json": serializer}


def json_or_files(serializer: Any) -> dict[str, Any]:
    return {"application/json": serializer, "multipart/form-data": serializer}
