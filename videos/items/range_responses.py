"""HTTP responses with stored files, whole or in ranges. The caller has checked access."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from gallery.items.media_responses import gone
from gallery.shared.responses import private
from videos.models import Video

CHUNK_BYTES: Final = 256 * 1024
RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
"""One range: players do not request several at once."""


def named(name: str | None) -> str:
    """Return the name of a stored file. Raises ``NotFound`` if there is none."""
    if not name:
        raise gone(Video)
    return name


def ranged(request: HttpRequest, name: str | None, content_type: str) -> HttpResponseBase:
    """Return a stored file, or the requested part of it (RFC 9110, 14). Raises ``NotFound``."""
    try:
        size = default_storage.size(named(name))
    except FileNotFoundError:
        raise gone(Video) from None
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    # Responses carry no validator, so the condition of If-Range never holds.
    part = None if "If-Range" in request.headers or asked is None else _part(asked, size)
    if part is not None and part[0] >= part[1]:
        unsatisfied = HttpResponse(status=416)
        unsatisfied["Content-Range"] = f"bytes */{size}"
        return private(unsatisfied)
    start, stop = part or (0, size)
    response = StreamingHttpResponse(
        _chunks(named(name), start, stop), content_type=content_type, status=206 if part else 200
    )
    response["Content-Length"] = str(stop - start)
    response["Accept-Ranges"] = "bytes"
    if part:
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return private(response)


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


def _chunks(name: str, start: int, stop: int) -> Iterator[bytes]:
    with default_storage.open(name) as stream:
        stream.seek(start)
        while start < stop and (chunk := stream.read(min(CHUNK_BYTES, stop - start))):
            start += len(chunk)
            yield chunk
