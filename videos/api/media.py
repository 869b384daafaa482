"""A video's file, its pictures at any moment, its thumbnail. The status is asked each time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import av
import cv2
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from gallery.access import access_of
from gallery.errors import NotFound, UserError
from videos.content_types import CONTENT_TYPES
from videos.models import Video
from videos.windows import read_window

GONE = "There is no such video here, or not for you."
CHUNK = 256 * 1024
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
"""One range; several at once are nothing that players ask for."""


@require_safe
def file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The video as it came, or the small copy: where it was not kept, or with ``?small=1``.

    Answers ``Range`` requests, so that players can seek.
    """
    video = _visible(request, pk)
    if video.original and request.GET.get("small") != "1":
        return _ranged(request, video.original.name or "", CONTENT_TYPES[video.format])
    return _ranged(request, video.proxy.name or "", "video/mp4")


@require_safe
def frame(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture at ``?t=`` seconds as a small JPEG, decoded from the small copy."""
    seconds = _seconds(request.GET.get("t", "0"))
    video = _visible(request, pk)
    t = min(round(seconds * 1000), video.duration_ms or 0)
    try:
        with default_storage.open(_named(video.proxy.name)) as proxy:
            shown = read_window(proxy, t, t)
    except (FileNotFoundError, av.error.FFmpegError):
        raise NotFound(GONE) from None
    if not shown:
        raise NotFound(GONE)
    bgr = cv2.cvtColor(shown[0][1], cv2.COLOR_RGB2BGR)
    jpeg = bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
    return _private(HttpResponse(jpeg, content_type="image/jpeg"))


@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture that stands for the video."""
    return _ranged(request, _visible(request, pk).thumbnail.name or "", "image/jpeg")


def _visible(request: HttpRequest, pk: int) -> Video:
    access = access_of(request)
    access.require("search")
    videos = Video.objects.all() if access.allows("moderate") else Video.objects.ready()
    video = videos.filter(pk=pk).first()
    if video is None:
        raise NotFound(GONE)
    return video


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 1e6:
        raise UserError("Give t as seconds from the start of the video, 0 or more.", field="t")
    return seconds


def _named(name: str | None) -> str:
    if not name:
        raise NotFound(GONE)
    return name


def _ranged(request: HttpRequest, name: str, content_type: str) -> HttpResponseBase:
    """A stored file, or the part of it that is asked for (RFC 9110, 14)."""
    try:
        size = default_storage.size(_named(name))
    except FileNotFoundError:
        raise NotFound(GONE) from None
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    # Nothing here says which version of a file a client has, so that no condition ever holds.
    part = None if "If-Range" in request.headers or asked is None else _part(asked, size)
    if part is not None and part[0] >= part[1]:
        unsatisfied = HttpResponse(status=416)
        unsatisfied["Content-Range"] = f"bytes */{size}"
        return _private(unsatisfied)
    start, stop = part or (0, size)
    response = StreamingHttpResponse(
        _chunks(name, start, stop), content_type=content_type, status=206 if part else 200
    )
    response["Content-Length"] = str(stop - start)
    response["Accept-Ranges"] = "bytes"
    if part:
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return _private(response)


def _part(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None is no range, an empty one cannot be had."""
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
        while start < stop and (chunk := stream.read(min(CHUNK, stop - start))):
            start += len(chunk)
            yield chunk


def _private(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
