"""Tell exchanges what was decided about their items: the outbox, and its delivery.

What is to be told is written in the transaction of the decision. It is sent until the exchange has
taken it; what was undone before it was sent is never sent. Only exchanges that opted in are told.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from django.db import transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.exchanges.clients import CLIENTS
from moderation.exchanges.clients.base import Client, Opinion, ServiceFailed
from moderation.exchanges.editing import client_of
from moderation.exchanges.models import Exchange, ExchangeFeedback, FeedbackQuerySet
from moderation.exchanges.pulling import LONGEST_FAILURE, actor, pause_after
from moderation.lists.models import BannedItem

BUDGET: Final = 20.0
Decided = Literal["confirmed", "dismissed", "wrong", "undone"]
"""``wrong``: the item does not belong on the list. ``undone``: no decision counts any more."""


def told_lists() -> list[int]:
    """Return the lists whose exchanges want feedback."""
    rows = Exchange.objects.filter(enabled=True, feedback=True, service__in=CLIENTS)
    return list(rows.values_list("list", flat=True))


def want(decided: Mapping[int, Decided]) -> None:
    """Write what the exchanges are to be told about items, in the transaction that decided it."""
    for exchange in Exchange.objects.filter(enabled=True, feedback=True, service__in=CLIENTS):
        client = CLIENTS[exchange.service]
        items = BannedItem.objects.filter(
            pk__in=decided, list=exchange.list_id, source=client.SOURCE
        ).exclude(source_id="")
        for pk in items.order_by("pk").values_list("pk", flat=True):
            _want(exchange, pk, decided[pk], client.WORDS[decided[pk]])


def _want(exchange: Exchange, item: int, decided: Decided, word: str) -> None:
    known = ExchangeFeedback.objects.select_for_update().filter(exchange=exchange, item=item)
    row = known.first()
    if row is None:
        if word and decided != "undone":
            ExchangeFeedback.objects.get_or_create(
                exchange=exchange, item_id=item, defaults={"wanted": word}
            )
        return
    if decided == "undone" and not row.sent:
        word = ""
    if row.wanted != word:
        row.wanted, row.refused, row.changed_at = word, "", timezone.now()
        row.save(update_fields=["wanted", "refused", "changed_at"])


def send_due() -> int:
    """Send what is due to each exchange. Returns how many items an exchange took."""
    sent, until = 0, time.monotonic() + BUDGET
    try:
        with only_one(Lock.EXCHANGES, Conflict("Another process pulls or sends.")):
            for exchange in Exchange.objects.filter(
                enabled=True,
                feedback=True,
                service__in=CLIENTS,
                feedback_at__lte=timezone.now(),
                pk__in=_unsent().values("exchange"),
            ):
                sent += _send_to(exchange, until)
    except Conflict:
        return 0
    return sent


@transaction.atomic
def try_again(*, by: Actor, exchange_id: int) -> int:
    """Send again what an exchange refused. Returns how many."""
    check(by, "pull from exchanges")
    exchange = Exchange.objects.get(pk=exchange_id)
    count = exchange.feedbacks.exclude(refused="").update(refused="")
    Exchange.objects.filter(pk=exchange_id).update(feedback_at=timezone.now())
    if count:
        trail.record(by=by.name, verb="exchange.feedback_retried", subject=exchange, count=count)
    return count


def numbers(exchange: Exchange) -> dict[str, int]:
    """Return how many items wait, were refused, and were told."""
    unsent = ~Q(wanted=F("sent"))
    return exchange.feedbacks.aggregate(
        waiting=Count("pk", filter=unsent & Q(refused="")),
        refused=Count("pk", filter=unsent & ~Q(refused="")),
        told=Count("pk", filter=~Q(sent="")),
    )


def _unsent() -> FeedbackQuerySet:
    return ExchangeFeedback.objects.unsent().filter(refused="")


def _send_to(exchange: Exchange, until: float) -> int:
    counts: Counter[str] = Counter()
    try:
        client = client_of(exchange)
        while time.monotonic() < until:
            rows = list(
                _unsent()
                .filter(exchange=exchange)
                .select_related("item")
                .prefetch_related("item__hashes")
                .order_by("changed_at")[: client.AT_ONCE]
            )
            if not rows:
                break
            counts += _tell(exchange, client, rows)
    except ServiceFailed as error:
        Exchange.objects.filter(pk=exchange.pk).update(
            feedback_failures=F("feedback_failures") + 1,
            feedback_at=timezone.now() + pause_after(exchange.feedback_failures),
            failure=error.message[:LONGEST_FAILURE],
        )
    else:
        Exchange.objects.filter(pk=exchange.pk).update(feedback_failures=0)
    if counts:
        with transaction.atomic():
            trail.record(
                by=actor(exchange).name,
                verb="exchange.feedback_sent",
                subject=exchange,
                after={word or "withdrawn": number for word, number in counts.items()},
                count=counts.total(),
            )
    return counts.total()


def _tell(exchange: Exchange, client: Client, rows: Sequence[ExchangeFeedback]) -> Counter[str]:
    """Send some opinions. If they are refused together, send each alone, so that one bad opinion
    does not stop the others. Raises ``ServiceFailed``."""
    try:
        client.tell(_opinion(exchange, row) for row in rows)
    except ServiceFailed as error:
        if not error.refused:
            raise
        if len(rows) > 1:
            return sum((_tell(exchange, client, [row]) for row in rows), Counter())
        ExchangeFeedback.objects.filter(pk=rows[0].pk, wanted=rows[0].wanted).update(
            refused=error.message[:LONGEST_FAILURE]
        )
        return Counter()
    for row in rows:
        # ``wanted`` may have changed meanwhile: then it is sent again.
        ExchangeFeedback.objects.filter(pk=row.pk).update(sent=row.wanted, sent_at=timezone.now())
    return Counter(row.wanted for row in rows)


def _opinion(exchange: Exchange, row: ExchangeFeedback) -> Opinion:
    hashes = tuple((one.kind, one.value) for one in row.item.hashes.all())
    return Opinion(row.item.source_id, row.item.media, hashes, row.wanted, exchange.negative_reason)
