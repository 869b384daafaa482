"""Scans of what is already here for items of a list."""

from __future__ import annotations

from moderation.models import RetroScan
from moderation.permissions import Actor


def start(
    *, by: Actor, list_id: int, reason: str, item_id: int | None = None, after_item: int = 0
) -> RetroScan:
    """Note that a list is to be looked for; in the transaction that changed it.

    ``item_id``: for that item alone; ``after_item``: for the items with a greater id.
    """
    return RetroScan.objects.create(
        list_id=list_id,
        item_id=item_id,
        after_item=after_item,
        reason=reason,
        added_by=by.name,
    )
