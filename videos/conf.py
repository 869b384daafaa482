"""Turn settings into arguments for modules that do not use Django."""

from __future__ import annotations

import hmac
from dataclasses import replace
from functools import cache

from django.conf import settings

from gallery.net.transport import FetchPolicy
from videos.decode.decoder_protocol import VideoLimits

PROBE_SECONDS = 20
"""Limit for reading a video's size and codec, while its sender waits."""


QUERY_SECONDS = 60
"""Limit for decoding a query video."""

_MEMORY_BYTES = 2**30
_MEMORY_PER_PIXEL = 114
"""A decoder keeps up to 17 frames of up to 3 bytes per pixel, and more for each of its threads."""


@cache
def limits() -> VideoLimits:
    return VideoLimits(
        max_bytes=settings.MAX_VIDEO_BYTES,
        max_pixels=settings.MAX_VIDEO_PIXELS,
        memory_bytes=_MEMORY_BYTES + _MEMORY_PER_PIXEL * settings.MAX_VIDEO_PIXELS,
        max_duration_ms=settings.MAX_VIDEO_MINUTES * 60_000,
        cpu_seconds=settings.VIDEO_TIMEOUT,
        wall_seconds=float(settings.VIDEO_TIMEOUT),
    )


@cache
def probe_limits() -> VideoLimits:
    return replace(limits(), cpu_seconds=PROBE_SECONDS, wall_seconds=float(PROBE_SECONDS))


@cache
def query_limits() -> VideoLimits:
    return replace(
        limits(),
        max_bytes=settings.MAX_UPLOAD_BYTES,
        cpu_seconds=QUERY_SECONDS,
        wall_seconds=float(QUERY_SECONDS),
    )


def phase() -> float:
    """Return the offset of the sampling times, 0 to 1000 ms.

    It is derived from ``SECRET_KEY``, so that an uploader cannot know it. All files have the
    same offset: footage shared by two files is sampled at the same moments, and no verdict
    depends on chance.
    """
    digest = hmac.digest(settings.SECRET_KEY.encode(), b"grid of times", "sha256")
    return 1000 * int.from_bytes(digest[:4], "big") / 2**32


@cache
def fetch_policy() -> FetchPolicy:
    return FetchPolicy(
        max_bytes=settings.MAX_VIDEO_BYTES,
        timeout=settings.VIDEO_FETCH_TIMEOUT,
        allow_private=settings.FETCH_ALLOW_PRIVATE,
        max_redirects=settings.FETCH_REDIRECTS,
    )


def forget() -> None:
    for cached in (limits, probe_limits, query_limits, fetch_policy):
        cached.cache_clear()
