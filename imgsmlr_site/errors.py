"""Errors of the HTTP API as JSON of one shape.

Every error of ``/api/`` is ``{"type", "code", "detail"}``, plus ``"field"`` if one input is wrong.
``type`` is ``validation_error`` (correct the request), ``client_error`` (the request was understood
and refused) or ``server_error``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from django.core import exceptions as django_errors
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.views import defaults
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
from imgsmlr_site.outages import outage
from moderation.access.permissions import NotAllowed
from videos.decode.errors import VideoTooLarge

API_PREFIX = "/api/"

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


def problem_response(status: int, code: str, detail: str) -> HttpResponse:
    body = orjson.dumps(problem(status, code, detail))
    return HttpResponse(body, content_type="application/json", status=status)


def user_error_response(error: UserError) -> HttpResponse:
    status, body, headers = user_problem(error)
    return HttpResponse(
        orjson.dumps(body), content_type="application/json", status=status, headers=headers
    )


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


Handler = Callable[..., HttpResponse]


def _handler(status: int, code: str, detail: str, page: Handler) -> Handler:
    def answer(request: HttpRequest, *args: Exception, **named: Exception) -> HttpResponse:
        if request.path.startswith(API_PREFIX):
            return problem_response(status, code, detail)
        return page(request, *args, **named)

    return answer


bad_request = _handler(400, "bad_request", "The request is malformed.", defaults.bad_request)
permission_denied = _handler(403, "forbidden", "You may not do this.", defaults.permission_denied)
not_found = _handler(
    404,
    "not_found",
    "There is nothing at this address: /api/docs/ lists what there is.",
    defaults.page_not_found,
)
"""``handler400`` and so on for the URL map."""
_unforeseen = _handler(
    500, "internal_error", "The service failed; its log says why.", defaults.server_error
)
RETRY_SECONDS = 5
"""What ``Retry-After`` says during an outage."""


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer the exception that is being handled: 503 if the service lacks something for a time."""
    found = outage(sys.exc_info()[1])
    if found is None:
        return _unforeseen(request)
    code, detail = found
    if request.path.startswith(API_PREFIX):
        answer = problem_response(503, code, detail)
    else:
        answer = HttpResponse(detail, content_type="text/plain; charset=utf-8", status=503)
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer
