"""HTTP responses with stored files, whole or in ranges. The caller has checked access."""

from __future__ import annotations

import re
from typing import BinaryIO, Final, cast

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from gallery.items.media_responses import gone
from gallery.shared.file_responses import file_response, is_on_disk, size_of
from gallery.shared.responses import private
from videos.models import Video

RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
"""One range: players do not request several at once."""
MAX_PART: Final = 8 * 2**20


def named(name: str | None) -> str:
    """Return the name of a stored file. Raises ``NotFound`` if there is none."""
    if not name:
        raise gone(Video)
    return name


def ranged(request: HttpRequest, name: str | None, content_type: str) -> HttpResponseBase:
    """Return a stored file, or the requested part of it (RFC 9110, 14). Raises ``NotFound``.

    Of a file on another host at most ``MAX_PART`` bytes of a requested part: players ask for all to
    the end, and read on only while they play.
    """
    try:
        stream = cast(BinaryIO, default_storage.open(named(name)))
    except FileNotFoundError:
        raise gone(Video) from None
    size = size_of(stream)
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    # Responses carry no validator, so the condition of If-Range never holds.
    part = None if "If-Range" in request.headers or asked is None else _part(asked, size)
    if part is None:
        response = file_response(stream, content_type)
    elif part[0] >= part[1]:
        stream.close()
        unsatisfied = HttpResponse(status=416)
        unsatisfied["Content-Range"] = f"bytes */{size}"
        return private(unsatisfied)
    else:
        start, stop = part
        if not is_on_disk(stream):
            stop = min(stop, start + MAX_PART)
        response = file_response(stream, content_type, start, stop)
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response["Accept-Ranges"] = "bytes"
    return response


def _part(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last, None for no valid range.

    An empty span means that the range cannot be satisfied.
    """
    first, last = asked.groups()
    if first == last == "":
        return None
    if first == "":
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size
