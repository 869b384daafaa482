"""Media as answers: clear, or blurred until a look was asked for and noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from gallery.imaging import decoding
from gallery.imaging.pictures import Pixels
from gallery.imaging.renditions import rendition
from gallery.imaging.shown_pictures import shown_pictures
from gallery.items import conf
from gallery.items.item import Item
from gallery.items.media_access import guard
from gallery.shared.access import access_of
from gallery.shared.errors import NotFound
from gallery.shared.responses import private

CLEAR: Final = "clear"
NONE_KEPT: Final = "No picture of it is kept."
LARGEST: Final = 1600
"""Pixels of the long side of what is shown in another way than it was stored."""


def answer(
    request: HttpRequest,
    item: Item,
    *,
    what: str,
    clear: Callable[[], HttpResponseBase],
    pixels: Callable[[], Pixels],
) -> HttpResponseBase:
    """One item's media for a caller who may see it; ``media_access.visible`` loaded the item.

    ``clear`` makes the answer that shows it as it is, ``pixels`` what is blurred. With
    ``?clear=1`` the first is sent, counted, and audited as ``what``. Raises what both raise.
    """
    if not item.blurred:
        return clear()
    if asks_clear(request):
        response = clear()
        guard().note(access_of(request), item, what)
        response["X-Rendition"] = CLEAR
        return response
    return blurred(request, pixels())


def asks_clear(request: HttpRequest) -> bool:
    """Whether a clear look is asked for, and by no page of another site."""
    return request.GET.get("clear") == "1" and not is_foreign(request)


def is_foreign(request: HttpRequest) -> bool:
    """Whether a page of another site sent the browser here: it may not make a person look."""
    return request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}


def blurred(request: HttpRequest, pixels: Pixels) -> HttpResponseBase:
    """The pixels in the way that this person wants to see them first."""
    return picture(pixels, guard().first_filter(access_of(request)))


def picture(pixels: Pixels, step: str, longest: int = LARGEST) -> HttpResponseBase:
    """A JPEG of the pixels in one of ``renditions.STEPS``."""
    response = HttpResponse(rendition(pixels, step, longest), content_type="image/jpeg")
    response["X-Rendition"] = str(step)  # of a model's choice, too
    return private(response)


def decoded(*names: str | None) -> Pixels:
    """The first of some stored pictures that is there. Raises ``NotFound``, or why it is none."""
    for name in filter(None, names):
        try:
            with default_storage.open(name) as stream:
                return decoding.decode(stream.read(), conf.limits()).rgb
        except (FileNotFoundError, IsADirectoryError):
            continue
    raise NotFound(NONE_KEPT)


def rendered(name: str, rendering: str) -> Pixels:
    """A stored picture in one of ``shown_pictures.other_renderings``. Raises ``NotFound``."""
    try:
        with default_storage.open(name) as stream:
            data = stream.read()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(NONE_KEPT) from None
    for found in shown_pictures(data, conf.limits()):
        if (found.frame, found.rendering) == (0, rendering):
            return found.rgb
    raise NotFound(f"It has no rendering {rendering!r}.")
