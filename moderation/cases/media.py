"""Pixels and files of a case's subject and of the matched items."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import replace
from typing import IO, Final

import av
from django.core.files.storage import default_storage
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gallery.imaging import decoding
from gallery.imaging.decoding.rendered_pictures import VIDEO_VIEW, rendered_pictures, view_name
from gallery.imaging.inner_pictures import inner_pictures, is_inner
from gallery.imaging.pixels import Pixels
from gallery.items import conf
from gallery.shared.errors import NotFound
from moderation.cases.models import ReviewCase
from moderation.lists.models import BannedHash, BannedItem
from videos import conf as video_conf
from videos.decode.decoding import decode
from videos.decode.proxies import read_window
from videos.decode.sniffing import CONTENT_TYPES
from videos.models import Video

NONE_KEPT: Final = _("No picture is stored.")
NO_VIDEO: Final = _("This case is not about a video.")
NO_FILE: Final = _("The file of this video is not stored, so it cannot be played.")
ORIGINAL: Final = "original"
SMALL_COPY: Final = "small"

MOTION_SECONDS: Final = 20

MOTION_SIDE: Final = 1024


def subject_pixels(
    case: ReviewCase,
    *,
    time_ms: int = 0,
    frame: int = 0,
    rendering: str = "",
    small: bool = False,
) -> Pixels:
    """Return the subject's pixels: of a video the frame at ``time_ms``, of an animation the frame
    number ``frame``, of an image the ``rendering`` that its match names.

    ``small``: the thumbnail is enough. Raise ``NotFound``, and what ``decoding`` raises.
    """
    if case.video is not None:
        return _of_video(case.video, time_ms) if not small else _decoded(case.video.thumbnail.name)
    if case.image is None or case.origin == ReviewCase.Origin.LINK:
        return _decoded(case.picture.name)
    whole, thumbnail = case.image.original.name, case.image.thumbnail.name
    if (frame or rendering) and whole and not small:
        return (
            _motion(whole, time_ms) if rendering == VIDEO_VIEW else _shown(whole, frame, rendering)
        )
    return _decoded(thumbnail or whole if small else whole or thumbnail)


def item_pixels(item: BannedItem, time_ms: int | None = None) -> Pixels:
    """Return the picture of an item, or the frame at ``time_ms`` where its video is stored here.
    Raise ``NotFound``: most lists have only hashes."""
    video = stored_video(item) if time_ms is not None else None
    return _decoded(item.picture.name) if video is None else _of_video(video, time_ms or 0)


def stored_video(item: BannedItem) -> Video | None:
    """Return the stored video that an item was made of, with its small copy, if it is here."""
    if item.media != BannedItem.Media.VIDEO:
        return None
    exact = BannedHash.objects.filter(item=item, kind="sha256", time_ms=None).values("value")
    return Video.objects.filter(sha256__in=exact).exclude(proxy="").first()


def has_media(case: ReviewCase) -> bool:
    if case.video is not None:
        return bool(case.video.proxy or case.video.thumbnail)
    if case.image is not None and case.origin != ReviewCase.Origin.LINK:
        return bool(case.image.original or case.image.thumbnail)
    return bool(case.picture)


def playable_files(case: ReviewCase) -> dict[str, tuple[str, str]]:
    """Return the playable files of the case's video, the best first: ``original`` or ``small`` →
    (name in the storage, content type). Raise ``NotFound`` if there is none, or if the case is not
    about a video."""
    video = case.video
    if video is None:
        raise NotFound(str(NO_VIDEO))
    named = {
        ORIGINAL: (video.original.name or "", CONTENT_TYPES.get(video.format, "")),
        SMALL_COPY: (video.proxy.name or "", "video/mp4"),
    }
    there = {
        copy: (name, content_type)
        for copy, (name, content_type) in named.items()
        if name and content_type.startswith("video/") and default_storage.exists(name)
    }
    if not there:
        raise NotFound(str(NO_FILE))
    return there


def _of_video(video: Video, time_ms: int) -> Pixels:
    if not video.proxy:
        return _decoded(video.thumbnail.name)
    at = min(time_ms, video.duration_ms or 0)
    try:
        with _opened(video.proxy.name) as proxy:
            shown = read_window(proxy, at, at)
    except av.error.FFmpegError:
        raise NotFound(str(NONE_KEPT)) from None
    if not shown:
        raise NotFound(str(NONE_KEPT))
    return shown[0][1]


def _shown(name: str, frame: int, rendering: str) -> Pixels:
    with _opened(name) as stream:
        data = stream.read()
    usual, _, last = rendering.rpartition(" ")
    alone = is_inner(last)
    wanted = frame, usual if alone else rendering
    for picture in rendered_pictures(data, conf.limits()):
        if (picture.frame, picture.rendering) == wanted:
            found = inner_pictures(picture.rgb).get(last) if alone else picture.rgb
            if found is not None:
                return found
    raise NotFound(gettext("It has no %(frame)s.") % {"frame": view_name(frame, rendering)})


def _motion(name: str, time_ms: int) -> Pixels:
    with _opened(name) as stream:
        video = decoding.appended_video(stream.read())
    if video is None:
        raise NotFound(str(NONE_KEPT))
    limits = replace(video_conf.limits(), cpu_seconds=MOTION_SECONDS, wall_seconds=MOTION_SECONDS)
    with decode(io.BytesIO(video), limits, end_ms=time_ms, long_side=MOTION_SIDE) as frames:
        last = deque(frames, maxlen=1)
    if not last:
        raise NotFound(str(NONE_KEPT))
    return last[0].rgb


def _decoded(name: str | None) -> Pixels:
    with _opened(name) as stream:
        return decoding.decode(stream.read(), conf.limits()).rgb


def _opened(name: str | None) -> IO[bytes]:
    if not name:
        raise NotFound(str(NONE_KEPT))
    try:
        stream: IO[bytes] = default_storage.open(name)
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(str(NONE_KEPT)) from None
    return stream
