"""Middleware before every view: limits, refusals, and a corrected last slash."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import is_valid_path

from gallery.shared.errors import UserError
from imgsmlr_site.errors import problem_response, user_error_response
from imgsmlr_site.formats import NUL_SENTENCE

VIDEO_PREFIXES = ("/api/v1/videos/", "/api/v1/moderation/lists/", "/admin/videos/")
"""Where a body may hold a video."""
LIST_PREFIXES = ("/api/v1/moderation/imports/", "/admin/moderation/listimport/")
"""Where a body may hold a hash list."""
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def mend_last_slash(request: HttpRequest) -> None:
    """Let a request that changes something reach its view, with or without the last "/".

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
    """Refuses requests that no view should get, answers refusals that plain views raise, and
    corrects paths without the last slash.

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
        return user_error_response(exception)
