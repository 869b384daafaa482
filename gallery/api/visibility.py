"""Which items a caller may see and change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from gallery.items.item import Item, Status
from gallery.items.media_access import set_visibility, visible
from gallery.items.models import Image
from gallery.shared.access import access_of
from gallery.shared.errors import NotYours

BLURRED = "Whether our links show it to you blurred: it is quarantined or under review."
CLEARABLE = "Whether our links show it clearly with clear=1. Each look is counted."


def blur(request: Any, item: Item) -> dict[str, bool]:
    """Return ``blurred`` and ``clearable`` for the caller. In a list they are already set."""
    if "blurred" not in item.__dict__:
        set_visibility(access_of(request), [item])
    return {"blurred": item.blurred, "clearable": item.blurred and item.clearable}


def may_draw(request: Request, image_id: int | None) -> bool:
    """A drawing shows the stored image clearly, but does not count a clear look."""
    if image_id is None:
        return True
    image = visible(access_of(request), Image.objects.all(), image_id)
    return image is not None and not image.blurred


def check_own(request: Request, added_by: Iterable[str]) -> None:
    access = access_of(request)
    if not all(map(access.may_change, added_by)):
        raise NotYours(
            f"{access.actor} may change and delete only what it has added itself; a lead may also "
            "change what others have added."
        )


def hidden_from(request: Request) -> Q:
    """Return the condition on rows that the caller must not see: quarantined, except for
    moderators.

    The key or user that added an item still reads that it is quarantined, but not why, and can
    neither change nor delete it. Anonymous callers cannot be told apart, so they do not.
    """
    access = access_of(request)
    if access.allows("moderate"):
        return Q(pk=None)
    hidden = Q(status=Status.QUARANTINED)
    named = access.actor.startswith(("key:", "user:"))
    # Not if the caller may no longer add.
    if named and access.allows("add") and request.method in SAFE_METHODS:
        hidden &= ~Q(added_by=access.actor)
    return hidden
