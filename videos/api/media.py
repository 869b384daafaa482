"""A video's file, its pictures at any moment, its thumbnail. The status is asked each time."""

from __future__ import annotations

import math

import av
import cv2
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from gallery.access import access_of
from gallery.errors import NotFound, UserError
from videos.content_types import CONTENT_TYPES
from videos.models import Video
from videos.serving import GONE, named, private, ranged
from videos.windows import read_window


@require_safe
def file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The video as it came, or the small copy: where it was not kept, or with ``?small=1``.

    Answers ``Range`` requests, so that players can seek.
    """
    video = _visible(request, pk)
    if video.original and request.GET.get("small") != "1":
        return ranged(request, video.original.name, CONTENT_TYPES[video.format])
    return ranged(request, video.proxy.name, "video/mp4")


@require_safe
def frame(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture at ``?t=`` seconds as a small JPEG, decoded from the small copy."""
    seconds = _seconds(request.GET.get("t", "0"))
    video = _visible(request, pk)
    t = min(round(seconds * 1000), video.duration_ms or 0)
    try:
        with default_storage.open(named(video.proxy.name)) as proxy:
            shown = read_window(proxy, t, t)
    except (FileNotFoundError, av.error.FFmpegError):
        raise NotFound(GONE) from None
    if not shown:
        raise NotFound(GONE)
    bgr = cv2.cvtColor(shown[0][1], cv2.COLOR_RGB2BGR)
    jpeg = bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
    return private(HttpResponse(jpeg, content_type="image/jpeg"))


@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture that stands for the video."""
    return ranged(request, _visible(request, pk).thumbnail.name, "image/jpeg")


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
