"""The search page, and media of images. Each request checks the status again."""

from __future__ import annotations

from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from gallery.items.item import Status
from gallery.items.media_responses import (
    CLEAR,
    gone,
    jpeg_response,
    media_response,
    rendered_pixels,
    stored_pixels,
    visible_item,
)
from gallery.items.models import Image
from gallery.shared.responses import private

CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "avif": "image/avif",
    "heic": "image/heic",
    "jxl": "image/jxl",
    "jp2": "image/jp2",
}


@require_safe
@ensure_csrf_cookie
def search_page(request: HttpRequest) -> HttpResponseBase:
    """Return the search page. All its data comes from the API, which checks access."""
    return render(request, "gallery/search/page.html")


@require_safe
def original(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Return the unchanged original, or the thumbnail if the original is not kept.

    ``?rendering=black`` or ``colour`` returns another way in which viewers show it, as a JPEG.
    """
    image = _visible(request, pk)
    if image.original and (rendering := request.GET.get("rendering", "")):
        pixels = rendered_pixels(image.original.name or "", rendering)
        return media_response(
            request,
            image,
            what=f"original, {rendering}"[:80],
            clear=lambda: jpeg_response(pixels, CLEAR),
            pixels=lambda: pixels,
        )
    if image.original:
        return _answer(request, image, "original", image.original.name, CONTENT_TYPES[image.format])
    return _answer(request, image, "thumbnail", image.thumbnail.name, "image/jpeg")


@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    image = _visible(request, pk)
    return _answer(request, image, "thumbnail", image.thumbnail.name, "image/jpeg")


def _visible(request: HttpRequest, pk: int) -> Image:
    image = visible_item(request, Image, pk)
    if image.status == Status.PENDING and not image.original:
        raise gone(Image)
    return image


def _answer(
    request: HttpRequest, image: Image, what: str, name: str | None, content_type: str
) -> HttpResponseBase:
    return media_response(
        request,
        image,
        what=what,
        clear=lambda: _file(name, content_type),
        pixels=lambda: stored_pixels(image.thumbnail.name, image.original.name),
    )


def _file(name: str | None, content_type: str) -> HttpResponseBase:
    try:
        stream = default_storage.open(name or "")
    except (FileNotFoundError, IsADirectoryError):
        raise gone(Image) from None
    return private(FileResponse(stream, content_type=content_type))
