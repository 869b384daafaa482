"""The edge of the HTTP API: errors become JSON of one shape, lists are paged, bodies limited.

Every error of ``/api/`` is ``{"type", "code", "detail"}`` and, where one input is at fault,
``"field"``. ``type`` is ``validation_error`` (correct the request), ``client_error`` (it was
understood and refused) or ``server_error``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from django.conf import settings
from django.core import exceptions as django_errors
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.urls import is_valid_path
from django.views import defaults
from rest_framework import exceptions, serializers
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.imaging.picture_limits import TooLarge
from gallery.items.publishing import QueryRefused
from gallery.shared.errors import (
    Conflict,
    NotFound,
    NotYours,
    Unavailable,
    UserError,
)
from imgsmlr_site.access import CHALLENGE, Forbidden, NotAuthenticated
from imgsmlr_site.formats import NUL_SENTENCE
from imgsmlr_site.throttling import Throttled
from moderation.access.permissions import NotAllowed
from videos.decode.errors import VideoTooLarge

API_PREFIX = "/api/"
VIDEO_PREFIXES = ("/api/v1/videos/", "/api/v1/moderation/lists/", "/admin/videos/")
"""Where a body may hold a video."""
LIST_PREFIXES = ("/api/v1/moderation/imports/", "/admin/moderation/listimport/")
"""Where a body may hold a hash list."""

STATUSES: Mapping[type[UserError], int] = {
    NotAuthenticated: 401,
    Forbidden: 403,
    NotAllowed: 403,
    NotYours: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    VideoTooLarge: 413,
    Throttled: 429,
    QueryRefused: 451,
    Unavailable: 503,
}
"""Which status a refusal has; subclasses inherit it, and any other UserError is a 400."""


def status_of(error: UserError) -> int:
    """The HTTP status of a refusal."""
    return next((STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES), 400)


def problem(status: int, code: str, detail: str, field: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind = "validation_error" if status == 400 else "client_error"
    body = {"type": "server_error" if status >= 500 else kind, "code": code, "detail": detail}
    return {**body, "field": field} if field else body


def problem_response(status: int, code: str, detail: str) -> HttpResponse:
    """The same as a plain Django response."""
    body = orjson.dumps(problem(status, code, detail))
    return HttpResponse(body, content_type="application/json", status=status)


def user_problem(error: UserError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of a ``UserError``."""
    status = status_of(error)
    body = problem(status, error.code, error.message, error.field)
    headers = {}
    if isinstance(error, Conflict) and error.existing_id is not None:
        body["existing_id"] = error.existing_id
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(error.wait)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    return status, body, headers


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's hook. None (a 500, logged by Django) for what nobody foresaw."""
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
    """REST framework's form of Django's own refusals; None for anything unforeseen."""
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
    """A body above ``DATA_UPLOAD_MAX_MEMORY_SIZE``, files not counted."""

    status_code = 413
    default_code = "too_large"
    default_detail = "The body is too large: send less at once, and pictures as files."


def first_problem(detail: Any, path: str = "") -> tuple[str | None, exceptions.ErrorDetail]:
    """The first leaf of a nested error and the dotted path of its field."""
    if isinstance(detail, Mapping):
        key, value = next(iter(detail.items()))
        is_field = key not in ("non_field_errors", "__all__", "detail")
        return first_problem(value, f"{path}.{key}".lstrip(".") if is_field else path)
    if isinstance(detail, list):
        # A list of dicts is one dict per row of a batch, empty where the row is right.
        index = next(i for i, item in enumerate(detail) if item)
        in_row = isinstance(detail[index], Mapping)
        return first_problem(detail[index], f"{path}.{index}".lstrip(".") if in_row else path)
    if not isinstance(detail, exceptions.ErrorDetail):
        detail = exceptions.ErrorDetail(str(detail), code="invalid")
    return path or None, detail


def sentence(detail: exceptions.ErrorDetail) -> str:
    """The text, ended by a full stop."""
    text = str(detail)
    return text if text.endswith((".", "!", "?")) else f"{text}."


class NewestFirst(CursorPagination):
    """Pages by id, newest first: each costs the same, however deep, and none shifts."""

    ordering = "-id"
    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"

    def get_page_size(self, request: Request) -> int:
        """``page_size`` of the query, 1 to 100. Raises ``ValidationError``."""
        text = request.query_params.get("page_size", str(self.page_size))
        size = int(text) if re.fullmatch("[0-9]{1,3}", text) else 0
        if not 1 <= size <= self.max_page_size:
            raise exceptions.ValidationError(
                {"page_size": f"page_size must be a whole number from 1 to {self.max_page_size}."}
            )
        return size

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The cursor, whose position must be an id. Raises ``NotFound``."""
        cursor = super().decode_cursor(request)
        if cursor and not re.fullmatch(r"[0-9]{1,19}", str(cursor.position or 0)):
            raise exceptions.NotFound(self.invalid_cursor_message)
        return cursor


SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def mend_last_slash(request: HttpRequest) -> None:
    """Let a request that changes something reach the view that was meant, with or without "/".

    Django answers a missing one with a redirect, which clients follow with a GET: the upload would
    be lost, and the answer a 200.
    """
    path = request.path_info
    if request.method in SAFE_METHODS or is_valid_path(path):
        return
    other = path[:-1] if path.endswith("/") else f"{path}/"
    if is_valid_path(other):
        request.path = request.path[: len(request.path) - len(path)] + other
        request.path_info = other


ENCODED_NUL = re.compile("%00|\x00")


class EdgeMiddleware:
    """Refuses what no view should see; answers the refusals that plain views raise, and mends
    paths that lack the last slash.

    Oversized bodies are refused before they are read, a NUL in the path or the query before
    it can reach PostgreSQL.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        mend_last_slash(request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        most = settings.MAX_REQUEST_BYTES
        if request.path_info.startswith(VIDEO_PREFIXES):
            most = max(most, settings.MAX_VIDEO_REQUEST_BYTES)
        elif request.path_info.startswith(LIST_PREFIXES):
            most = max(most, settings.MAX_LIST_REQUEST_BYTES)
        if length.isdigit() and int(length) > most:
            megabytes = most // 2**20
            return problem_response(
                413, "too_large", f"The request is larger than {megabytes} MB: send less."
            )
        query = request.META.get("QUERY_STRING", "")
        if "\x00" in request.path_info or ENCODED_NUL.search(query):
            return problem_response(400, "nul_character", NUL_SENTENCE)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A ``UserError`` of a view outside REST framework, in the common shape."""
        if not isinstance(exception, UserError):
            return None
        status, body, headers = user_problem(exception)
        return HttpResponse(
            orjson.dumps(body), content_type="application/json", status=status, headers=headers
        )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400``."""
    if request.path.startswith(API_PREFIX):
        return problem_response(400, "bad_request", "The request is malformed.")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler403``."""
    if request.path.startswith(API_PREFIX):
        return problem_response(403, "forbidden", "You may not do this.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``."""
    if request.path.startswith(API_PREFIX):
        return problem_response(
            404, "not_found", "There is nothing at this address: /api/docs/ lists what there is."
        )
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: says nothing of the inside; Django has logged it."""
    if request.path.startswith(API_PREFIX):
        return problem_response(500, "internal_error", "The service failed; its log says why.")
    return defaults.server_error(request)
