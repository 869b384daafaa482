"""Turn settings into arguments for modules that do not use Django."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings

from gallery.imaging.decoding.limits import PictureLimits
from gallery.net.s3 import Bucket
from gallery.net.s3_signing import SigningKey
from gallery.net.transport import FetchPolicy


@cache
def limits() -> PictureLimits:
    return PictureLimits(
        max_bytes=settings.MAX_UPLOAD_BYTES,
        max_pixels=settings.MAX_IMAGE_PIXELS,
        cpu_seconds=settings.DECODE_SECONDS,
        memory_bytes=settings.DECODE_MEMORY_BYTES,
    )


def decoding_budget_file() -> Path:
    return settings.DATA_DIR / "decoding.lock"


@cache
def fetch_policy() -> FetchPolicy:
    return FetchPolicy(
        max_bytes=settings.MAX_UPLOAD_BYTES,
        timeout=settings.FETCH_TIMEOUT,
        allow_private=settings.FETCH_ALLOW_PRIVATE,
        max_redirects=settings.FETCH_REDIRECTS,
    )


def s3_bucket(name: str) -> Bucket:
    """Return a bucket of the storage that the settings name."""
    key = SigningKey(settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY, settings.S3_REGION)
    return Bucket(settings.S3_ENDPOINT, name, key)
