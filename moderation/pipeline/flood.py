"""The flood guard: an item that matches far more uploads than usual leads to review at most.

One bad entry of a list can hide thousands of harmless uploads and fill the queue with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from gallery.items.models import Image
from gallery.shared.locking import locked
from moderation.access.permissions import Actor
from moderation.audit import trail
from moderation.cases.models import THRESHOLD_MET, CaseMatch, ReviewCase
from moderation.lists import item_changing
from moderation.lists.models import BannedItem, BannedItemQuerySet, BannedList
from moderation.lists.verdicts import Verdict
from moderation.webhooks import outbox
from moderation.webhooks.models import WebhookEvent
from videos.models import Video

WINDOW: Final = timedelta(hours=1)
GUARD: Final = Actor.machine("flood guard")


def watch(item_ids: Sequence[int]) -> None:
    """Queue the suspension of items that match too many uploads now.

    Call it in the transaction that stored the matches. A worker suspends them, because the audit
    may already be locked here. A command that changes the list's row would wait for the audit,
    while this transaction waits for the row.
    """
    if not item_ids:  # nearly always; Django makes the query although it does not run it
        return
    for item in _guarded().filter(pk__in=item_ids).select_related("list"):
        if uploads(item) > limit_of(item.list):
            async_task("moderation.tasks.suspend_flooding", item.pk)


@transaction.atomic
def suspend_flooding(item_id: int) -> ReviewCase | None:
    """Suspend an item that still matches too many uploads, and open a case about it."""
    item = _guarded().filter(pk=item_id).select_related("list").first()
    if item is None:
        return None
    count, limit = uploads(item), limit_of(item.list)
    if count <= limit:
        return None
    reason = f"matched {count} uploads in an hour; at most {limit} are expected"
    latest = CaseMatch.objects.filter(item=item).order_by("-id").first()
    if latest is None:
        raise AssertionError("a flooding item has matches")
    # Lock these before the list and the audit, as the gate does: ``gallery.shared.locking``.
    locked(Image.objects.filter(pk__in=filter(None, [latest.image_id])).only("pk"), no_key=True)
    locked(Video.objects.filter(pk__in=filter(None, [latest.video_id])).only("pk"), no_key=True)
    latest.refresh_from_db(fields=["image", "video"])
    if not item_changing.suspend(
        by=GUARD, items=BannedItem.objects.filter(pk=item_id), reason=reason
    ):
        return None
    return _raise(item, latest, reason)


def limit_of(row: BannedList) -> int:
    return int(settings.FLOOD_LIMIT if row.flood_limit is None else row.flood_limit)


def uploads(item: BannedItem) -> int:
    rows = CaseMatch.objects.filter(
        THRESHOLD_MET, item=item, created_at__gt=timezone.now() - WINDOW
    )
    images = rows.exclude(image=None).values("image").distinct().count()
    videos = rows.exclude(video=None).values("video").distinct().count()
    return int(images + videos)


def _guarded() -> BannedItemQuerySet:
    return BannedItem.objects.matching().filter(
        suspended_at=None, list__kind=BannedList.Kind.BANNED
    )


def _raise(item: BannedItem, latest: CaseMatch, reason: str) -> ReviewCase:
    case = ReviewCase.objects.create(
        origin=ReviewCase.Origin.FLOOD,
        image=latest.image,
        video=latest.video,
        verdict=Verdict.REVIEW,
        severity=item.list.severity,
        cluster=f"flood-{item.pk}",
        evidence={"flood": reason, "item": item.pk, "sha256": latest.sha256},
    )
    # Store a copy: the match itself belongs to another case.
    latest.pk, latest.case = None, case
    latest.save(force_insert=True)
    trail.record(
        by=GUARD.name,
        verb="case.opened",
        subject=case,
        after={"origin": case.origin, "item": item.pk, "list": item.list.name},
        reason=reason,
    )
    outbox.enqueue(
        WebhookEvent.VERDICT,
        f"verdict:{case.pk}",
        {"case": case.pk, "origin": case.origin, "verdict": case.verdict, "item": item.pk},
    )
    return case
