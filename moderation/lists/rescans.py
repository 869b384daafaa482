"""Queue rescans of stored content. ``moderation.pipeline.rescan`` runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django_q.tasks import async_task

from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.audit import trail
from moderation.lists.models import BannedHash, BannedItem, BannedList, Rescreening, RetroScan
from moderation.lists.verdicts import ALLOWING

CLUSTER: Final = "lists"


@transaction.atomic
def start(
    *, by: Actor, list_id: int, reason: str, item_id: int | None = None, after_item: int = 0
) -> RetroScan:
    """Queue a rescan. Call it in the transaction that changed the list.

    ``item_id``: rescan only for this item. ``after_item``: only for items with a greater id. If a
    waiting rescan of the list already covers them, it is reused.
    """
    waiting = RetroScan.objects.filter(
        list=list_id,
        item=None,
        after_item__lte=after_item,
        asked__isnull=True,
        state=RetroScan.State.PENDING,
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


@transaction.atomic
def start_all(*, by: Actor) -> list[RetroScan]:
    """Queue a rescan for all items of each enabled list of banned content."""
    lists = BannedList.objects.filter(enabled=True, kind=BannedList.Kind.BANNED).order_by("pk")
    scans = [start(by=by, list_id=row.pk, reason="match_all") for row in lists]
    if not scans:
        raise UserError("No list of banned content is enabled: there is nothing to scan for.")
    trail.record(by=by.name, verb="scan.all_started", subject=RetroScan, count=len(scans))
    return scans


@transaction.atomic
def screen_images(ids: Sequence[int]) -> None:
    """Queue the screening of images as if they were uploaded now, in the current transaction."""
    wait("image", ids)
    async_task("moderation.tasks.screen_waiting", cluster=CLUSTER)


def wait(kind: str, ids: Iterable[int]) -> None:
    """Note that stored items wait to be screened again, even if one is being screened now."""
    Rescreening.objects.bulk_create(
        [Rescreening(kind=kind, item=pk) for pk in dict.fromkeys(ids)],
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["kind", "item"],
        update_fields=["queued", "claimed_until"],
    )


@transaction.atomic
def ask_services(*, by: Actor, list_id: int, reason: str) -> RetroScan:
    """Queue asking the list's remote services about all stored hashes. Call it in the transaction
    that switched one on.

    What was asked before is asked again.
    """
    unfinished = [RetroScan.State.PENDING, RetroScan.State.RUNNING]
    running = RetroScan.objects.filter(list=list_id, asked__isnull=False, state__in=unfinished)
    running.update(asked={}, done=0, total=0, claimed_until=None)
    scan = running.first() or RetroScan.objects.create(
        list_id=list_id, asked={}, reason=reason, added_by=by.name
    )
    async_task("moderation.tasks.scan", scan.pk, cluster=CLUSTER)
    return scan


TASK_HASHES: Final = 500


def screen_allowed(items: QuerySet[BannedItem]) -> None:
    """Queue the screening of the files that these entries of allow lists have allowed.

    Call it in the transaction that changes the entries, before they are deleted: the task stores
    their hashes.
    """
    hashes = BannedHash.objects.filter(item__in=items.order_by().values("pk"), kind=ALLOWING)
    values = sorted(set(hashes.values_list("value", flat=True)))
    for start in range(0, len(values), TASK_HASHES):
        enqueue_allowed(values[start : start + TASK_HASHES])


def enqueue_allowed(values: Sequence[str]) -> None:
    with transaction.atomic():
        async_task("moderation.tasks.screen_again", list(values), cluster=CLUSTER)
