"""Errors of the HTTP API as JSON of one shape.

Every error is ``{"type", "code", "detail"}``, plus ``"field"`` if one input is wrong.
``type`` is ``validation_error`` (correct the request), ``client_error`` (the request was understood
and refused) or ``server_error``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.core import exceptions as django_errors
from django.http import Http404, HttpResponse
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from gallery.imaging.decoding.limits import TooLarge
from gallery.items.publishing import QueryRefused
from gallery.shared.errors import (
    Busy,
    Conflict,
    NotFound,
    NotYours,
    Unavailable,
    UserError,
)
from imgsmlr_site.access import CHALLENGE, Forbidden, NotAuthenticated
from moderation.access.permissions import NotAllowed
from videos.decode.errors import VideoTooLarge

STATUSES: Mapping[type[UserError], int] = {
    NotAuthenticated: 401,
    Forbidden: 403,
    NotAllowed: 403,
    NotYours: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    VideoTooLarge: 413,
    Busy: 429,
    QueryRefused: 451,
    Unavailable: 503,
}
"""The HTTP status of each error class. Subclasses inherit it; any other UserError is a 400."""


def status_of(error: UserError) -> int:
    return next((STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES), 400)


def problem(status: int, code: str, detail: str, field: str | None = None) -> dict[str, Any]:
    kind = "validation_error" if status == 400 else "client_error"
    body = {"type": "server_error" if status >= 500 else kind, "code": code, "detail": detail}
    return {**body, "field": field} if field else body


def json_response(status: int, body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), content_type="application/json", status=status)


def user_problem(error: UserError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, body and headers for a ``UserError``."""
    status = status_of(error)
    body = problem(status, error.code, error.message, error.field)
    headers = {}
    if isinstance(error, Conflict) and error.existing_id is not None:
        body["existing_id"] = error.existing_id
    if isinstance(error, Busy):
        headers["Retry-After"] = str(error.wait)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    return status, body, headers


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The exception hook of REST framework. None for unexpected errors: Django logs a 500."""
    if isinstance(exc, UserError):
        status, body, headers = user_problem(exc)
        return Response(body, status=status, headers=headers)
    error = as_api_exception(exc)
    if error is None:
        return None
    field, detail = first_problem(error.detail)
    body = problem(error.status_code, str(detail.code), sentence(detail), field)
    auth_header = getattr(error, "auth_header", None)
    headers = {"WWW-Authenticate": auth_header} if auth_header else {}
    return Response(body, status=error.status_code, headers=headers)


def as_api_exception(exc: Exception) -> exceptions.APIException | None:
    """Convert Django's own exceptions to those of REST framework; None for unexpected errors."""
    match exc:
        case exceptions.APIException():
            return exc
        case Http404():
            return exceptions.NotFound("There is nothing here with this id or at this address.")
        case django_errors.PermissionDenied():
            return exceptions.PermissionDenied()
        case django_errors.ValidationError():
            return exceptions.ValidationError(serializers.as_serializer_error(exc))
        case django_errors.RequestDataTooBig():
            return PayloadTooLarge()
        case django_errors.TooManyFieldsSent() | django_errors.TooManyFilesSent():
            return exceptions.ParseError("The form has too many parts: send fewer at once.")
        case django_errors.SuspiciousOperation() | MultiPartParserError():
            return exceptions.ParseError("The request is malformed.")
    return None


class PayloadTooLarge(exceptions.APIException):
    """The body is larger than ``DATA_UPLOAD_MAX_MEMORY_SIZE``, not counting files."""

    status_code = 413
    default_code = "too_large"
    default_detail = "The body is too large: send less at once, and pictures as files."


def first_problem(detail: Any, path: str = "") -> tuple[str | None, exceptions.ErrorDetail]:
    """Return the dotted path of the first field with an error, and that error."""
    if isinstance(detail, Mapping):
        key, value = next(iter(detail.items()))
        is_field = key not in ("non_field_errors", "__all__", "detail")
        return first_problem(value, f"{path}.{key}".lstrip(".") if is_field else path)
    if isinstance(detail, list):
        # A list of dicts has one dict per row of a batch; it is empty if the row is valid.
        index = next(i for i, item in enumerate(detail) if item)
        in_row = isinstance(detail[index], Mapping)
        return first_problem(detail[index], f"{path}.{index}".lstrip(".") if in_row else path)
    if not isinstance(detail, exceptions.ErrorDetail):
        detail = exceptions.ErrorDetail(str(detail), code="invalid")
    return path or None, detail


def sentence(detail: exceptions.ErrorDetail) -> str:
    text = str(detail)
    return text if text.endswith((".", "!", "?")) else f"{text}."
