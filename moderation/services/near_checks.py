"""Who tries many variants of one banned item, and what they are answered from then on.

The answers to small changes of a picture lead to one that passes. So the contents that a client
asks about are counted for each item that they are near to. Beyond the budget everybody is told, and
all that is near to the item gets one and the same answer: nothing can be learned any more from
which change made a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from moderation.matching import Match
from moderation.models import BannedItem, BannedList, NearCheck, WebhookEvent
from moderation.permissions import Actor, can
from moderation.services import audit, webhooks
from moderation.verdicts import Verdict, strictest

WINDOW: Final = timedelta(days=1)


@transaction.atomic
def answered(*, by: Actor, content: str, verdict: Verdict, matches: Iterable[Match]) -> Verdict:
    """Count a check of this content, and answer the verdict that the client is to be told.

    ``matches``: also those beyond the threshold, which a client could feel its way along. Who sees
    distances anyway is not counted. Beyond the budget the answer is the strictest that the client
    had about the item, and ``review`` at least.
    """
    near = {m.item_id for m in matches if m.list.kind == BannedList.Kind.BANNED}
    if not near or not by.client or can(by, "see matches"):
        return verdict
    _lock(by.client)
    before = set(_over(by.client, near))
    NearCheck.objects.bulk_create(
        (
            NearCheck(client=by.client, actor=by.name, item_id=pk, content=content, verdict=verdict)
            for pk in sorted(near)
        ),
        update_conflicts=True,
        unique_fields=["client", "item", "content"],
        update_fields=["verdict", "created_at"],
    )
    over = set(_over(by.client, near))
    for pk in sorted(over - before):
        _raise_alarm(by, pk)
    if not over:
        return verdict
    told = _recent().filter(client=by.client, item__in=over).values_list("verdict", flat=True)
    return strictest([Verdict.REVIEW, verdict, *map(Verdict, told.distinct())])


def alarms() -> QuerySet[NearCheck, Any]:
    """Client, item and number of variants of those that are over the budget now."""
    counted = _recent().order_by().values("client", "actor", "item").annotate(variants=Count("pk"))
    return counted.filter(variants__gt=settings.NEAR_CHECKS).order_by("-variants")


def forget() -> int:
    """Delete what is older than the window. Answers how much that was."""
    return NearCheck.objects.filter(created_at__lt=timezone.now() - WINDOW).delete()[0]


def _recent() -> QuerySet[NearCheck]:
    return NearCheck.objects.filter(created_at__gt=timezone.now() - WINDOW)


def _over(client: str, items: Iterable[int]) -> QuerySet[NearCheck, int]:
    mine = _recent().filter(client=client, item__in=items).order_by()
    counted = mine.values("item").annotate(variants=Count("pk"))
    return counted.filter(variants__gt=settings.NEAR_CHECKS).values_list("item", flat=True)


def _raise_alarm(by: Actor, item_id: int) -> None:
    audit.record(
        by=by.name,
        verb="check.probing",
        subject=BannedItem(pk=item_id),
        after={"client": by.client, "variants": settings.NEAR_CHECKS + 1},
    )
    now = timezone.now()
    webhooks.tell(
        WebhookEvent.PROBING,
        f"probing:{item_id}:{by.client[:60]}:{now:%Y-%m-%d}",
        {"client": by.client, "actor": by.name, "item": item_id},
    )


def _lock(client: str) -> None:
    """One check of a client at a time, from here to the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [client])
