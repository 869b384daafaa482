"""Absolute links to our own pages of an image."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.urls import reverse

from gallery.items.models import Image

SOURCE: Final = (
    "Where it was fetched from, null for an upload. Its host may show something else by now, which "
    "nobody has screened: show `file`."
)
"""What the API says of ``Item.url``."""


def image_url(request: HttpRequest, image: Image) -> str:
    """The original, or the thumbnail where the original is not kept."""
    return request.build_absolute_uri(reverse("gallery:original", args=[image.pk]))


def thumbnail_url(request: HttpRequest, image: Image) -> str | None:
    """The small JPEG; None before it is made."""
    if not image.thumbnail:
        return None
    return request.build_absolute_uri(reverse("gallery:thumbnail", args=[image.pk]))
