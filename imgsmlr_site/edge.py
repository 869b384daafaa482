"""Middleware before every view: size limits, refusals, and correction of the last slash."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import is_valid_path

from gallery.shared.errors import UserError
from imgsmlr_site.error_handlers import error_response, not_allowed, user_error_response
from imgsmlr_site.formats import NUL_SENTENCE

VIDEO_PREFIXES = ("/api/v1/videos/", "/api/v1/moderation/lists/", "/admin/videos/")
"""Paths whose body may contain a video."""
LIST_PREFIXES = ("/api/v1/moderation/imports/", "/admin/moderation/listimport/")
"""Paths whose body may contain a hash list."""
NOTICE_PREFIX = "/notices/"
"""Paths of the form that people without an account send."""
MAX_NOTICE_BYTES = 10 * 2**20
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def mend_last_slash(request: HttpRequest) -> None:
    """Correct the last "/" of a writing request's path, so that the request reaches its view.

    Django would answer with a redirect, which clients follow with a GET: the upload would be lost,
    and the answer would be a 200.
    """
    path = request.path_info
    if request.method in SAFE_METHODS or is_valid_path(path):
        return
    other = path[:-1] if path.endswith("/") else f"{path}/"
    if is_valid_path(other):
        request.path = request.path[: len(request.path) - len(path)] + other
        request.path_info = other


def body_limit(path: str) -> int:
    """Return the largest body in bytes that this path accepts."""
    if path.startswith(VIDEO_PREFIXES):
        return max(settings.MAX_REQUEST_BYTES, settings.MAX_VIDEO_REQUEST_BYTES)
    if path.startswith(NOTICE_PREFIX):
        return min(settings.MAX_REQUEST_BYTES, MAX_NOTICE_BYTES)
    if path.startswith(LIST_PREFIXES):
        return max(settings.MAX_REQUEST_BYTES, settings.MAX_LIST_REQUEST_BYTES)
    return settings.MAX_REQUEST_BYTES


ENCODED_NUL = re.compile("%00|\x00")


class EdgeMiddleware:
    """Refuses requests that must not reach a view, answers errors that plain views raise, and
    corrects paths without the last slash.

    It refuses an oversized body before reading it, and a NUL in the path or query before it can
    reach PostgreSQL.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        mend_last_slash(request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        most = body_limit(request.path_info)
        if length.isdigit() and int(length) > most:
            megabytes = most // 2**20
            return error_response(
                request, 413, "too_large", f"The request is larger than {megabytes} MB: send less."
            )
        query = request.META.get("QUERY_STRING", "")
        if "\x00" in request.path_info or ENCODED_NUL.search(query):
            return error_response(request, 400, "nul_character", NUL_SENTENCE)
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            return not_allowed(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a ``UserError`` of a view outside REST framework."""
        if not isinstance(exception, UserError):
            return None
        return user_error_response(request, exception)
