"""HTTP responses with media: clear, or blurred until the caller asks for a counted clear look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from gallery.imaging import decoding
from gallery.imaging.decoding.rendered_pictures import rendered_pictures
from gallery.imaging.pixels import Pixels
from gallery.imaging.renditions import rendition
from gallery.items import conf
from gallery.items.item import Item, ItemT
from gallery.items.kinds import kind_of
from gallery.items.media_access import guard, visible
from gallery.shared.access import access_of
from gallery.shared.errors import NotFound
from gallery.shared.responses import private

CLEAR: Final = "clear"
NONE_KEPT: Final = "No picture of it is stored."
MAX_SIDE: Final = 1600
"""Longest side, in pixels, of a picture rendered for a response."""


def gone(model: type[Item]) -> NotFound:
    """Return the error for missing and for hidden media: a caller must not see the difference."""
    return NotFound(f"This {kind_of(model).contents} does not exist, or you may not see it.")


def visible_item(request: HttpRequest, model: type[ItemT], pk: int) -> ItemT:
    """Return an item whose media the caller may see. Raises ``NotFound`` and access errors."""
    access = access_of(request)
    access.require("search")
    item = visible(access, model._default_manager.all(), pk)
    if item is None:
        raise gone(model)
    return item


def media_response(
    request: HttpRequest,
    item: Item,
    *,
    what: str,
    clear: Callable[[], HttpResponseBase],
    pixels: Callable[[], Pixels],
) -> HttpResponseBase:
    """Return an item's media for a caller who may see it, as loaded by ``visible_item``.

    ``clear`` makes the clear response; ``pixels`` returns what is blurred otherwise. With
    ``?clear=1`` the clear response is sent, counted, and audited as ``what``. Pages ask with
    ``?blurred=1`` for a blurred picture of what is not doubted yet. Raises the errors of both.
    """
    if not item.blurred and request.GET.get("blurred") != "1":
        return clear()
    if wants_clear(request):
        response = clear()
        guard().note(access_of(request), item, what)
        response["X-Rendition"] = CLEAR
        return response
    return blurred_response(request, pixels())


def wants_clear(request: HttpRequest) -> bool:
    """Return whether a clear look is requested, and not by a page of another site."""
    return request.GET.get("clear") == "1" and not is_cross_site(request)


def is_cross_site(request: HttpRequest) -> bool:
    """Return whether another site's page sent the request; it must not cause a clear look."""
    return request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}


def blurred_response(request: HttpRequest, pixels: Pixels) -> HttpResponseBase:
    return jpeg_response(pixels, guard().first_filter(access_of(request)))


def jpeg_response(pixels: Pixels, step: str, longest: int = MAX_SIDE) -> HttpResponseBase:
    response = HttpResponse(rendition(pixels, step, longest), content_type="image/jpeg")
    response["X-Rendition"] = str(step)  # may also be a member of a model's TextChoices
    return private(response)


def stored_pixels(*names: str | None) -> Pixels:
    """Return the pixels of the first stored picture that exists.

    Raises ``NotFound`` and decoding errors.
    """
    for name in filter(None, names):
        try:
            with default_storage.open(name) as stream:
                return decoding.decode(stream.read(), conf.limits()).rgb
        except (FileNotFoundError, IsADirectoryError):
            continue
    raise NotFound(NONE_KEPT)


def rendered_pixels(name: str, rendering: str) -> Pixels:
    """Return a picture in one of ``rendered_pictures.other_renderings``. Raises ``NotFound``."""
    try:
        with default_storage.open(name) as stream:
            data = stream.read()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(NONE_KEPT) from None
    for found in rendered_pictures(data, conf.limits()):
        if (found.frame, found.rendering) == (0, rendering):
            return found.rgb
    raise NotFound(f"It has no rendering {rendering!r}.")
