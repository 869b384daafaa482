"""Count the variants of a banned item that a client tries, and limit what the client can learn.

A client that sees the answers to small changes of a picture can find a version that passes. A check
shows the answer directly, an upload by whether it becomes visible, a search by whether it is
refused. So all content that a client checks, adds or searches with is counted together, for each
item that it is near to. Beyond the budget, list editors are alerted, and everything near to the
item gets the same answer.

No lock is taken, because one transaction publishes many uploads. So content that is screened at the
same moment may exceed the budget together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from moderation.access.permissions import Actor, can
from moderation.audit import trail
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import Verdict, strictest
from moderation.pipeline.models import NearCheck
from moderation.screening import verdict_rules
from moderation.screening.types import ItemMatch
from moderation.webhooks import outbox
from moderation.webhooks.models import WebhookEvent

WINDOW: Final = timedelta(days=1)


@transaction.atomic
def counted(
    *, by: Actor, content: str, verdict: Verdict, matches: Iterable[ItemMatch]
) -> Verdict | None:
    """Count this content. Beyond the budget, return the verdict for everything near to the item.

    That verdict is the strictest one that the client got for the item, and at least ``review``.
    ``matches`` includes near misses, because a client could follow them. Clients that may see
    distances are not counted.
    """
    if not by.client or can(by, "see matches"):
        return None
    near = _near(list(matches))
    if not near:
        return None
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
    if not over:
        return None
    about = _recent().filter(client=by.client, item__in=over)
    verdicts = about.values_list("verdict", flat=True)
    for pk in sorted(over - set(about.filter(alarmed=True).values_list("item", flat=True))):
        about.filter(item=pk, content=content).update(alarmed=True)
        _raise_alarm(by, pk)
    return strictest([Verdict.REVIEW, verdict, *map(Verdict, verdicts.distinct())])


def alarms() -> QuerySet[NearCheck, Any]:
    """Return client, item and number of variants, for those that exceed the budget now."""
    counted = _recent().order_by().values("client", "actor", "item").annotate(variants=Count("pk"))
    return counted.filter(variants__gt=settings.NEAR_CHECKS).order_by("-variants")


def forget() -> int:
    return NearCheck.objects.filter(created_at__lt=timezone.now() - WINDOW).delete()[0]


def _near(matches: Sequence[ItemMatch]) -> set[int]:
    """Return the ids of items that a client could learn about.

    A list with the action ``shadow`` reveals nothing. A file on an allow list is not a variant.
    """
    if any(_is_allowed(match) for match in matches):
        return set()
    return {match.item_id for match in matches if match.list.is_enforced}


def _is_allowed(match: ItemMatch) -> bool:
    return match.list.is_allow_list and match.match_type == verdict_rules.ALLOWING


def _recent() -> QuerySet[NearCheck]:
    return NearCheck.objects.filter(created_at__gt=timezone.now() - WINDOW)


def _over(client: str, items: Iterable[int]) -> QuerySet[NearCheck, int]:
    mine = _recent().filter(client=client, item__in=items).order_by()
    counted = mine.values("item").annotate(variants=Count("pk"))
    return counted.filter(variants__gt=settings.NEAR_CHECKS).values_list("item", flat=True)


def _raise_alarm(by: Actor, item_id: int) -> None:
    trail.record(
        by=by.name,
        verb="check.probing",
        subject=BannedItem(pk=item_id),
        after={"client": by.client, "variants": settings.NEAR_CHECKS + 1},
    )
    now = timezone.now()
    outbox.enqueue(
        WebhookEvent.PROBING,
        f"probing:{item_id}:{by.client[:60]}:{now:%Y-%m-%d}",
        {"client": by.client, "actor": by.name, "item": item_id},
    )
