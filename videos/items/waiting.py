"""Waits, for a bounded time, until a worker has indexed a video."""

from __future__ import annotations

import threading
import time
from typing import Final

from django.conf import settings

from gallery.items.item import Status
from gallery.shared.errors import NotFound
from videos.models import Video

POLL_SECONDS: Final = 0.25

_places = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))
"""Requests of one process that wait at once. Each holds a thread, and the others answer."""


def until_indexed(video: Video, seconds: float) -> Video:
    """Return the video once it is no longer pending, or as it is after so many seconds.

    It returns at once if too many requests wait already. Raises ``NotFound`` if the video is
    deleted in the meantime.
    """
    if not seconds or not _places.acquire(blocking=False):
        return video
    try:
        end = time.monotonic() + seconds
        while video.status == Status.PENDING and (left := end - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))
            video = _again(video.pk)
    finally:
        _places.release()
    return video


def _again(pk: int) -> Video:
    video = Video.objects.filter(pk=pk).first()
    if video is None:
        raise NotFound(f"Video {pk} was deleted in the meantime.")
    return video
