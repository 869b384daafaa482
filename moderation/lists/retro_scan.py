"""Asking for scans of what is already here for items of a list; ``scanning`` does them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import transaction
from django_q.tasks import async_task

from moderation.access.permissions import Actor
from moderation.lists.models import RetroScan

CLUSTER: Final = "lists"


@transaction.atomic
def start(
    *, by: Actor, list_id: int, reason: str, item_id: int | None = None, after_item: int = 0
) -> RetroScan:
    """Have what is here looked through, in the transaction that changed the list.

    ``item_id``: for that item alone; ``after_item``: for the items with a greater id. A scan of
    the list that waits already and looks for as much is enough.
    """
    waiting = RetroScan.objects.filter(
        list=list_id, item=None, after_item__lte=after_item, state=RetroScan.State.PENDING
    )
    scan = waiting.select_for_update(skip_locked=True).first()
    if scan is None:
        scan = RetroScan.objects.create(
            list_id=list_id,
            item_id=item_id,
            after_item=after_item,
            reason=reason,
            added_by=by.name,
        )
    async_task("moderation.tasks.scan", scan.pk, cluster=CLUSTER)
    return scan


def screen_images(ids: Sequence[int]) -> None:
    """Have some images screened as if they came now, in this transaction."""
    async_task("moderation.tasks.screen_images", list(ids), cluster=CLUSTER)
