"""What the OpenAPI document says of every operation: which bodies it takes, how it may refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gallery.api.serializers import ErrorSerializer

ALWAYS = (400, 401, 403, 406, 429)
"""A malformed query, no or too little access, an Accept header of no known type, a spent budget."""
WITH_BODY = (413, 415)
"""A body that is too large, or of an unknown type."""


def answers(good: Mapping[int, Any], *refusals: int, body: bool = False) -> dict[int, Any]:
    """``good`` is status → serializer; ``refusals`` come on top of what any request may meet."""
    statuses = {*ALWAYS, *(WITH_BODY if body else ()), *refusals}
    return {**good, **dict.fromkeys(sorted(statuses - good.keys()), ErrorSerializer)}


def json(serializer: Any) -> dict[str, Any]:
    """A JSON body."""
    return {"application/json": serializer}


def json_or_files(serializer: Any) -> dict[str, Any]:
    """A JSON body, or a form with files."""
    return {"application/json": serializer, "multipart/form-data": serializer}
