"""``{% item_picture item %}``: a picture of an item on an admin page."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse

from gallery.items.item import Item, Status
from gallery.items.kinds import kind_of

register = template.Library()
STATUS_ICONS = {Status.PENDING: "hourglass_empty", Status.QUARANTINED: "visibility_off"}


@register.inclusion_tag("gallery/items/picture.html")
def item_picture(
    item: Item, *, href: str = "", url: str = "", alt: str = "", blurred: bool = False
) -> dict[str, Any]:
    """Its thumbnail, or an icon that says why there is none.

    ``url`` and ``alt`` show another picture of it. ``href`` makes the picture a link. ``blurred``:
    at first in any case, as before it is banned.
    """
    kind = kind_of(item)
    if not url and item.thumbnail:
        url = reverse(kind.thumbnail_view, args=[item.pk])
    if url and blurred and not item.blurred:
        url, item.blurred = f"{url}?blurred=1", True
    return {
        "item": item,
        "url": url,
        "href": href,
        "alt": alt or f"Picture of {kind.name} {item.pk}",
        "icon": kind.failed_icon
        if item.status == Status.FAILED
        else STATUS_ICONS.get(Status(item.status), kind.icon),
    }
