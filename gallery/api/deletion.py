"""Deleting over HTTP: why, and whether also what is withheld."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from gallery.items import retention
from gallery.items.retention import Withheld
from gallery.shared.access import access_of
from gallery.shared.errors import UserError

MAX_REASON: Final = 1000
DELETION: Final = [
    OpenApiParameter("reason", str, description="Goes into the audit."),
    OpenApiParameter(
        "override",
        bool,
        description="Also what a case, a legal hold or the quarantine withholds: for "
        "administrators, with a reason.",
    ),
]
DELETION_NAMES: Final = {"reason", "override"}


def deletion_of(request: Request) -> dict[str, Any]:
    """``reason`` and ``override``, as the services take them.

    Raises ``UserError``, and a refusal for callers who may not override.
    """
    reason = request.query_params.get("reason", "").strip()
    if len(reason) > MAX_REASON:
        raise UserError(f"At most {MAX_REASON} characters of reason.", field="reason")
    text = request.query_params.get("override", "false")
    if text not in ("true", "false"):
        raise UserError("override is true or false.", field="override")
    if text == "true":
        retention.check_override(access_of(request))
    return {"reason": reason, "override": text == "true"}


@contextmanager
def told_why(request: Request) -> Iterator[None]:
    """What is withheld is explained to callers who may see cases."""
    try:
        yield
    except Withheld as error:
        raise error.told_to(access_of(request)) from error
