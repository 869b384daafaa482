"""Sends the messages of the outbox: signed as in Standard Webhooks, at least once.

A message is leased and the attempt is committed before it is sent, so a sender that dies costs one
lease. One process at a time sends to a webhook, so that its messages keep their order, and all
webhooks get the same time. A receiver that is unreachable or failing is paused, each time for
longer, and its messages wait in order. If it only refuses a message, the next one is sent. Each
message is tried for a day, then given up. https://www.standardwebhooks.com
"""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta
from functools import cache

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from gallery.net.posting import post
from gallery.net.transport import FetchFailed, FetchPolicy
from gallery.shared import leases
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one
from moderation.webhooks.models import Delivery, Webhook
from moderation.webhooks.signing import signature

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=6)
GROWTH = 3
BUDGET = 50.0
"""Seconds after which a run leaves the rest to the next run."""
SLICE = 1.0
"""Seconds after which another webhook gets its turn, between two messages."""
LONGEST_FAILURE = 500
KEPT = timedelta(days=30)
"""How long messages are kept after they were delivered or given up."""


@cache
def policy() -> FetchPolicy:
    return FetchPolicy(
        max_bytes=0,
        timeout=settings.WEBHOOK_TIMEOUT,
        allow_private=settings.WEBHOOK_ALLOW_PRIVATE,
        allowed_by="WEBHOOK_ALLOW_PRIVATE",
    )


def send_due() -> int:
    """Send the due messages, of each webhook the oldest first, until none is left. Return how many
    arrived.

    The webhook that had the least time is next. Several processes may run it at the same time: what
    one of them sends to is left to it.
    """
    arrived, until = 0, time.monotonic() + BUDGET
    spent: dict[int, float] = {}
    taken: set[int] = set()
    while time.monotonic() < until and (open_to := _due_webhooks() - taken):
        webhook_id = min(open_to, key=lambda pk: (spent.get(pk, 0.0), pk))
        start = time.monotonic()
        try:
            with only_one(Lock.WEBHOOK + webhook_id, Conflict("Another process sends to it.")):
                arrived += _send_some(webhook_id, min(until, start + SLICE))
        except Conflict:
            taken.add(webhook_id)
        spent[webhook_id] = spent.get(webhook_id, 0.0) + time.monotonic() - start
    return arrived


def _send_some(webhook_id: int, until: float) -> int:
    arrived = 0
    while delivery := _claim(webhook_id):
        arrived += send(delivery)
        if time.monotonic() >= until:
            break
    return arrived


def send(delivery: Delivery) -> bool:
    """Send a message now and record the result. Return whether it arrived."""
    status, failure = _post(delivery)
    with transaction.atomic():
        # ``no_key``: other transactions may still insert messages for the webhook.
        rows = Webhook.objects.select_for_update(no_key=True)
        webhook = rows.filter(pk=delivery.webhook_id).first()
        if webhook is None:  # deleted meanwhile, with its messages
            return not failure
        if failure:
            _note_failure(delivery, webhook, failure, failing=status is None or _is_failing(status))
        else:
            _note_arrival(delivery, webhook)
    return not failure


def clean_up() -> int:
    """Delete messages that were delivered or given up long ago. Return how many."""
    old = timezone.now() - KEPT
    settled = Delivery.objects.filter(Q(delivered_at__lt=old) | Q(given_up_at__lt=old))
    return settled.delete()[0]


def waiting() -> list[tuple[str, int, float]]:
    """Return name, waiting messages, and seconds that the oldest waits, of each enabled webhook."""
    unsettled = (
        Delivery.objects.filter(delivered_at=None, given_up_at=None)
        .order_by()
        .values_list("webhook")
        .annotate(Count("pk"), Min("created_at"))
    )
    found = {pk: (number, oldest) for pk, number, oldest in unsettled}
    now = timezone.now()
    rows = []
    for pk, name in Webhook.objects.filter(enabled=True).values_list("pk", "name"):
        number, oldest = found.get(pk, (0, now))
        rows.append((name, number, (now - oldest).total_seconds()))
    return rows


def pause(failures: int) -> timedelta:
    """Return the pause of a receiver after ``failures`` failures in a row, ± a random fifth."""
    seconds = FIRST_PAUSE.total_seconds() * GROWTH ** min(failures - 1, 20)
    seconds = min(seconds, LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311  # no secret


def _due() -> QuerySet[Delivery]:
    now = timezone.now()
    return (
        Delivery.objects.filter(delivered_at=None, given_up_at=None, next_at__lte=now)
        .filter(Q(webhook__paused_until=None) | Q(webhook__paused_until__lte=now))
        .filter(webhook__enabled=True)
    )


def _due_webhooks() -> set[int]:
    return set(_due().order_by().values_list("webhook", flat=True).distinct())


def _claim(webhook_id: int) -> Delivery | None:
    """Lease the webhook's oldest due message, count the attempt, and commit both before it is
    sent."""
    due = _due().filter(webhook=webhook_id).select_related("webhook").order_by("id")
    lease = timedelta(seconds=settings.WEBHOOK_TIMEOUT * 2 + 30)
    taken = leases.take(due, lease, column="next_at")
    return taken[0] if taken else None


def _post(delivery: Delivery) -> tuple[int | None, str]:
    """Return the status of the answer, if any, and the failure ("" if there was none)."""
    message_id, timestamp = f"msg_{delivery.pk}", int(time.time())
    body = orjson.dumps(
        {
            "type": delivery.event,
            "timestamp": delivery.created_at,
            "key": delivery.key,
            "data": delivery.payload,
        }
    )
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(delivery.webhook.secret, message_id, timestamp, body),
    }
    try:
        status = post(delivery.webhook.url, body, headers, policy())
    except FetchFailed as error:
        return None, error.message
    if 200 <= status < 300:
        return status, ""
    if 300 <= status < 400:
        return status, f"The receiver answered {status}: redirects are not followed."
    return status, f"The receiver answered {status}."


def _is_failing(status: int) -> bool:
    """Whether the receiver itself is failing, so that every message would fail."""
    return status >= 500 or status in (408, 429) or 300 <= status < 400


def _note_arrival(delivery: Delivery, webhook: Webhook) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        delivered_at=timezone.now(), given_up_at=None, failure=""
    )
    if webhook.failures or webhook.paused_until:
        Webhook.objects.filter(pk=webhook.pk).update(failures=0, paused_until=None)


def _note_failure(delivery: Delivery, webhook: Webhook, failure: str, *, failing: bool) -> None:
    now = timezone.now()
    again = now + pause(delivery.attempts or 1)
    if failing and webhook.paused_until and webhook.paused_until > now:
        # A test that was sent during the pause: the same outage, which is counted already.
        again = webhook.paused_until
    elif failing:
        webhook.failures += 1
        webhook.paused_until = now + pause(webhook.failures)
        webhook.save(update_fields=["failures", "paused_until"])
        again = webhook.paused_until
    Delivery.objects.filter(pk=delivery.pk, delivered_at=None).update(
        next_at=again,
        failure=failure[:LONGEST_FAILURE],
        given_up_at=_given_up(delivery.give_up_at, now),
    )
    if failing:
        # Also give up overdue messages that waited behind it for the same receiver.
        Delivery.objects.filter(
            webhook=webhook, delivered_at=None, given_up_at=None, give_up_at__lte=now
        ).update(given_up_at=now, failure=failure[:LONGEST_FAILURE])


def _given_up(give_up_at: datetime, now: datetime) -> datetime | None:
    return now if now >= give_up_at else None
