"""Who tries many variants of one banned item, and what they are answered from then on.

The answers to small changes of a picture lead to one that passes. A check answers, an upload does
by becoming visible or not, and a search by being refused. So the contents that a client checks,
adds or searches with are counted together, for each item that they are near to. Beyond the budget
those who edit lists are told, and all that is near to the item gets one and the same answer:
nothing can be learned any more from which change made a difference.

No lock is taken, since uploads are published many in one transaction: contents that are judged at
the same moment may go beyond the budget together.
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
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.verdicts import Action, Verdict, strictest
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
    """Count this content. Answers the verdict of all that is near to the item, if the client is
    beyond the budget: the strictest that it had about the item, and ``review`` at least.

    ``matches``: also those beyond the threshold, which a client could feel its way along. Who sees
    distances anyway is not counted.
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
    told = about.values_list("verdict", flat=True)
    for pk in sorted(over - set(about.filter(alarmed=True).values_list("item", flat=True))):
        about.filter(item=pk, content=content).update(alarmed=True)
        _raise_alarm(by, pk)
    return strictest([Verdict.REVIEW, verdict, *map(Verdict, told.distinct())])


def alarms() -> QuerySet[NearCheck, Any]:
    """Client, item and number of variants of those that are over the budget now."""
    counted = _recent().order_by().values("client", "actor", "item").annotate(variants=Count("pk"))
    return counted.filter(variants__gt=settings.NEAR_CHECKS).order_by("-variants")


def forget() -> int:
    """Delete what is older than the window. Answers how much that was."""
    return NearCheck.objects.filter(created_at__lt=timezone.now() - WINDOW).delete()[0]


def _near(matches: Sequence[ItemMatch]) -> set[int]:
    """The items that a client could learn something about. A list in shadow answers nothing, and a
    file that an allow list names is no variant."""
    if any(_is_allowed(match) for match in matches):
        return set()
    banned = [match for match in matches if match.list.kind == BannedList.Kind.BANNED]
    return {match.item_id for match in banned if match.list.action != Action.SHADOW}


def _is_allowed(match: ItemMatch) -> bool:
    return match.list.kind == BannedList.Kind.ALLOW and match.match_type == verdict_rules.ALLOWING


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
