"""Settings turned into the arguments that pure modules take."""

from __future__ import annotations

import hmac
from dataclasses import replace
from functools import cache

from django.conf import settings

from gallery.net.fetching import FetchPolicy
from videos.decode.decoder_protocol import Limits

LOOK_SECONDS = 20
"""What finding out a video's size and codec may take, while its sender waits."""


QUERY_SECONDS = 60
"""What decoding a video that is asked about may take."""

_MEMORY_BYTES = 2**30
_MEMORY_PER_PIXEL = 114
"""A decoder keeps up to 17 frames of up to 3 bytes a pixel, and some for each of its threads."""


@cache
def limits() -> Limits:
    """What a video may cost to decode as a whole."""
    return Limits(
        max_bytes=settings.MAX_VIDEO_BYTES,
        max_pixels=settings.MAX_VIDEO_PIXELS,
        memory_bytes=_MEMORY_BYTES + _MEMORY_PER_PIXEL * settings.MAX_VIDEO_PIXELS,
        max_duration_ms=settings.MAX_VIDEO_MINUTES * 60_000,
        cpu_seconds=settings.VIDEO_TIMEOUT,
        wall_seconds=float(settings.VIDEO_TIMEOUT),
    )


@cache
def look_limits() -> Limits:
    """The same for a first look."""
    return replace(limits(), cpu_seconds=LOOK_SECONDS, wall_seconds=float(LOOK_SECONDS))


@cache
def query_limits() -> Limits:
    """The same for a video that was sent to be asked about, while its sender waits."""
    return replace(
        limits(),
        max_bytes=settings.MAX_UPLOAD_BYTES,
        cpu_seconds=QUERY_SECONDS,
        wall_seconds=float(QUERY_SECONDS),
    )


def phase() -> float:
    """A point, 0 to 1000 ms, of the grid of times on which files are looked at.

    It follows from ``SECRET_KEY``, so that nobody outside knows it. All files have the same: what
    two of them share is seen at the same moments, and no verdict changes by chance.
    """
    digest = hmac.digest(settings.SECRET_KEY.encode(), b"grid of times", "sha256")
    return 1000 * int.from_bytes(digest[:4], "big") / 2**32


@cache
def fetch_policy() -> FetchPolicy:
    """Where URLs of videos may lead, and for how long."""
    return FetchPolicy(
        max_bytes=settings.MAX_VIDEO_BYTES,
        timeout=settings.VIDEO_FETCH_TIMEOUT,
        allow_private=settings.FETCH_ALLOW_PRIVATE,
    )


def forget() -> None:
    """Read the settings anew."""
    for cached in (limits, look_limits, query_limits, fetch_policy):
        cached.cache_clear()
