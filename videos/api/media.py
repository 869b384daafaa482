"""A video's file, its picture at any moment, its thumbnail. Each request checks the status."""

from __future__ import annotations

import math

import av
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_safe

from gallery.imaging.pixels import Pixels
from gallery.items.media_access import guard
from gallery.items.media_responses import (
    CLEAR,
    blurred_response,
    gone,
    jpeg_response,
    media_response,
    stored_pixels,
    visible_item,
    wants_clear,
)
from gallery.shared.access import access_of
from gallery.shared.errors import UserError
from gallery.shared.responses import private
from videos.decode.proxies import read_window
from videos.decode.sniffing import CONTENT_TYPES
from videos.items.range_responses import named, ranged
from videos.models import Video


@require_safe
def file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Return the original video, or the small copy if it was not kept or with ``?small=1``.

    Answers ``Range`` requests, so that players can seek. A video cannot be blurred, so its
    blurred thumbnail replaces it. ``?clear=1`` counts one clear look and redirects to an address
    that plays the video, in any number of requests, until the look expires.
    """
    video = visible_item(request, Video, pk)
    name, content_type = video.proxy.name, "video/mp4"
    if video.original and request.GET.get("small") != "1":
        name, content_type = video.original.name, CONTENT_TYPES[video.format]
    if not video.blurred:
        return ranged(request, name, content_type)
    access = access_of(request)
    if guard().is_noted(access, video, request.GET.get("look", "")):
        return ranged(request, name, content_type)
    if not wants_clear(request):
        return blurred_response(request, stored_pixels(video.thumbnail.name))
    if not default_storage.exists(named(name)):
        raise gone(Video)
    kept = request.GET.copy()
    del kept["clear"]
    kept["look"] = guard().note(access, video, "video")
    return private(HttpResponseRedirect(f"{request.path}?{kept.urlencode()}"))


@require_safe
def frame(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Return the picture at ``?t=`` seconds as a small JPEG, decoded from the small copy."""
    seconds = _seconds(request.GET.get("t", "0"))
    video = visible_item(request, Video, pk)
    t = min(round(seconds * 1000), video.duration_ms or 0)
    pixels = _frame(video, t)
    return media_response(
        request,
        video,
        what=f"frame at {t} ms",
        clear=lambda: jpeg_response(pixels, CLEAR),
        pixels=lambda: pixels,
    )


@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    video = visible_item(request, Video, pk)
    return media_response(
        request,
        video,
        what="thumbnail",
        clear=lambda: ranged(request, video.thumbnail.name, "image/jpeg"),
        pixels=lambda: stored_pixels(video.thumbnail.name),
    )


def _frame(video: Video, t: int) -> Pixels:
    try:
        with default_storage.open(named(video.proxy.name)) as proxy:
            found = read_window(proxy, t, t)
    except (FileNotFoundError, av.error.FFmpegError):
        raise gone(Video) from None
    if not found:
        raise gone(Video)
    return found[0][1]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 1e6:
        raise UserError("Give t as seconds from the start of the video, 0 or more.", field="t")
    return seconds
