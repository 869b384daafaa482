"""Settings turned into the arguments that pure modules take."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from gallery.imaging.picture_limits import Limits
from gallery.net.fetching import FetchPolicy


@cache
def limits() -> Limits:
    """What a picture may cost to decode."""
    return Limits(
        max_bytes=settings.MAX_UPLOAD_BYTES,
        max_pixels=settings.MAX_IMAGE_PIXELS,
    )


@cache
def fetch_policy() -> FetchPolicy:
    """Where URLs may lead, and for how long."""
    return FetchPolicy(
        max_bytes=settings.MAX_UPLOAD_BYTES,
        timeout=settings.FETCH_TIMEOUT,
        allow_private=settings.FETCH_ALLOW_PRIVATE,
    )
