"""The outbox: messages for webhooks, created in the transaction that they report.

So a message is sent if and only if its transaction is committed. ``delivery`` sends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.db import connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from gallery.items.item import Status
from gallery.items.models import Image
from moderation.webhooks.models import PATIENCE, WebhookEvent
from videos.models import Video

CLUSTER = "lists"
LONGEST_KEY = 120
ITEM_EVENTS = {Status.READY: WebhookEvent.READY, Status.FAILED: WebhookEvent.FAILED}
Message = tuple[WebhookEvent, str, Mapping[str, Any]]
"""Event, key, payload."""

WRITE = """
INSERT INTO moderation_delivery
    (webhook_id, event, key, payload, attempts, next_at, give_up_at, failure, created_at)
SELECT webhook.id, news.event, news.key, news.payload, 0, %(now)s, %(until)s, '', %(now)s
FROM moderation_webhook AS webhook
JOIN unnest(%(events)s, %(keys)s, %(payloads)s::jsonb[]) WITH ORDINALITY
    AS news (event, key, payload, number) ON news.event = ANY(webhook.events)
WHERE webhook.enabled
ORDER BY news.number, webhook.id
ON CONFLICT (webhook_id, key) DO NOTHING
"""


def enqueue(event: WebhookEvent, key: str, payload: Mapping[str, Any]) -> None:
    """Create a message for every webhook that subscribes to the event, in this transaction.

    ``key`` identifies the message, in at most 120 characters: a webhook gets one message per key.
    ``payload`` must be valid JSON.
    """
    enqueue_all([(event, key, payload)])


def enqueue_all(messages: Sequence[Message]) -> None:
    """Create several messages with one statement."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "messages must be written inside the transaction that they report"
        )
    if longest := next((key for _, key, _ in messages if len(key) > LONGEST_KEY), None):
        raise ValueError(f"the key {longest} has {len(longest)} characters")
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            WRITE,
            {
                "events": [event.value for event, _, _ in messages],
                "keys": [key for _, key, _ in messages],
                "payloads": [
                    orjson.dumps(payload, default=str).decode() for *_, payload in messages
                ],
                "now": now,
                "until": now + PATIENCE,
            },
        )
        written = cursor.rowcount
    # Once per transaction. If the task is lost, a schedule sends the messages.
    if written and not any(call is wake for _, call, *_ in connection.run_on_commit):
        transaction.on_commit(wake)


def wake() -> None:
    """Start a task that sends the due messages."""
    async_task("moderation.tasks.send_webhooks", cluster=CLUSTER)


def enqueue_item_events(rows: Sequence[Image | Video]) -> None:
    """Enqueue messages about the items that are now ready or failed. Withheld items get none."""
    now = f"{timezone.now():%Y%m%dT%H%M%S%f}"
    messages = [
        (
            ITEM_EVENTS[Status(row.status)],
            f"{row._meta.model_name}:{row.pk}:{row.status}:{now}",
            _item_payload(row),
        )
        for row in rows
        if row.status in ITEM_EVENTS
    ]
    if messages:
        enqueue_all(messages)


def _item_payload(row: Image | Video) -> dict[str, Any]:
    return {
        "kind": row._meta.model_name,
        "id": row.pk,
        "url": row.url,
        "data_id": row.data_id,
        "md5": row.known_md5,
        "sha256": row.sha256,
        "status": row.status,
        "failure": row.failure,
    }
