"""Webhooks: who is told of what, and the outbox that news is written to.

News is written in the transaction it tells of, so that it goes out if and only if that is
committed; ``sending`` sends it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from gallery.net.fetching import FetchFailed, Target
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.webhooks.models import PATIENCE, TEST, Delivery, Webhook, WebhookEvent

CLUSTER = "lists"
PREFIX = "whsec_"
"""What a secret begins with; base64 of 32 random bytes follows."""
LONGEST_KEY = 120
LONGEST_NAME, LONGEST_URL = 100, 2048

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
News = tuple[WebhookEvent, str, Mapping[str, Any]]
"""Event, key, payload."""


class InvalidWebhook(UserError):
    """A name, an address or a choice of events that cannot be."""


def tell(event: WebhookEvent, key: str, payload: Mapping[str, Any]) -> None:
    """Write a message to every webhook that asked for the event, in this transaction.

    ``key`` names the news, in at most 120 characters: what was told with it once is not told
    again. ``payload`` is what JSON can hold.
    """
    tell_all([(event, key, payload)])


def tell_all(news: Sequence[News]) -> None:
    """The same for several pieces of news, by one statement."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("news belongs into the transaction it is of")
    if longest := next((key for _, key, _ in news if len(key) > LONGEST_KEY), None):
        raise ValueError(f"the key {longest} has {len(longest)} characters")
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            WRITE,
            {
                "events": [event.value for event, _, _ in news],
                "keys": [key for _, key, _ in news],
                "payloads": [orjson.dumps(payload, default=str).decode() for *_, payload in news],
                "now": now,
                "until": now + PATIENCE,
            },
        )
        written = cursor.rowcount
    # Once for each transaction, however much it tells; what is lost here a schedule finds.
    if written and not any(call is wake for _, call, *_ in connection.run_on_commit):
        transaction.on_commit(wake)


def wake() -> None:
    """Have the workers send what is due."""
    async_task("moderation.tasks.send_webhooks", cluster=CLUSTER)


def new_secret() -> str:
    """A secret as Standard Webhooks writes them."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that messages are signed with. Raises ``ValueError``."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("the secret is not base64") from error


@transaction.atomic
def create_webhook(
    *, by: Actor, name: str, url: str, events: Iterable[str], enabled: bool = True
) -> Webhook:
    """Make a webhook; its ``secret`` is for the caller to show once.

    Raises ``NotAllowed``, ``InvalidWebhook``, and ``Conflict`` for a name that is taken.
    """
    check(by, "edit webhooks")
    row = Webhook(
        name=_name(name),
        url=_url(url),
        events=_events(events),
        enabled=enabled,
        secret=new_secret(),
    )
    _save(row)
    trail.record(by=by.name, verb="webhook.created", subject=row, after=_facts(row))
    return row


@transaction.atomic
def change_webhook(*, by: Actor, webhook_id: int, **fields: Any) -> Webhook:
    """Set ``name``, ``url``, ``events`` or ``enabled``. What changes nothing leaves no trace.

    One that is enabled again is tried at once. Raises as ``create_webhook`` does, and ``NotFound``.
    """
    check(by, "edit webhooks")
    row = _locked(webhook_id)
    before = _facts(row)
    readers: dict[str, Callable[[Any], Any]] = {
        "name": _name,
        "url": _url,
        "events": _events,
        "enabled": bool,
    }
    for name, value in fields.items():
        setattr(row, name, readers[name](value))
    after = _facts(row)
    if after == before:
        return row
    row.failures, row.paused_until = 0, None
    _save(row)
    trail.record(by=by.name, verb="webhook.changed", subject=row, before=before, after=after)
    if row.enabled:
        transaction.on_commit(wake)
    return row


@transaction.atomic
def renew_secret(*, by: Actor, webhook_id: int) -> Webhook:
    """Give a webhook another secret, which messages are signed with from now on."""
    check(by, "edit webhooks")
    row = _locked(webhook_id)
    row.secret = new_secret()
    row.save(update_fields=["secret"])
    trail.record(by=by.name, verb="webhook.secret_renewed", subject=row)
    return row


@transaction.atomic
def delete_webhook(*, by: Actor, webhook_id: int) -> None:
    """Delete a webhook with all its messages. Raises ``NotAllowed`` and ``NotFound``."""
    check(by, "edit webhooks")
    row = _locked(webhook_id)
    before, count = _facts(row), row.deliveries.count()
    row.delete()
    trail.record(
        by=by.name,
        verb="webhook.deleted",
        subject=Webhook(pk=webhook_id),
        before=before,
        count=count + 1,
    )


@transaction.atomic
def write_test(*, by: Actor, webhook_id: int) -> Delivery:
    """A message that says nothing, to see whether one arrives, also at a webhook that is off."""
    check(by, "edit webhooks")
    row = _locked(webhook_id)
    delivery = Delivery.objects.create(
        webhook=row,
        event=TEST,
        key=f"test:{secrets.token_hex(8)}",
        payload={"message": "A test of the webhook.", "sent_by": by.name},
    )
    trail.record(by=by.name, verb="webhook.tested", subject=row, after={"delivery": delivery.pk})
    return delivery


@transaction.atomic
def try_again(*, by: Actor, ids: Iterable[int]) -> int:
    """Send messages that were not delivered at once, and for another day. Answers how many."""
    check(by, "edit webhooks")
    rows = Delivery.objects.filter(pk__in=list(ids), delivered_at=None)
    now = timezone.now()
    webhooks = list(rows.values_list("webhook_id", flat=True).distinct().order_by())
    count = rows.update(next_at=now, give_up_at=now + PATIENCE, given_up_at=None)
    if count:
        Webhook.objects.filter(pk__in=webhooks).update(failures=0, paused_until=None)
        trail.record(by=by.name, verb="webhook.tried_again", subject=Delivery, count=count)
        transaction.on_commit(wake)
    return count


def _facts(row: Webhook) -> dict[str, Any]:
    """What the audit says: no secret."""
    return {"name": row.name, "url": row.url, "events": row.events, "enabled": row.enabled}


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise InvalidWebhook(f"Give a name of 1 to {LONGEST_NAME} characters.", field="name")
    return name


def _url(text: str) -> str:
    if len(text) > LONGEST_URL:
        raise InvalidWebhook(f"An address has at most {LONGEST_URL} characters.", field="url")
    try:
        Target.parse(text, "")
    except FetchFailed as error:
        raise InvalidWebhook(error.message, field="url") from error
    return text.strip()


def _events(chosen: Iterable[str]) -> list[str]:
    wanted = set(chosen)
    if not wanted or wanted - set(WebhookEvent.values):
        names = ", ".join(WebhookEvent.values)
        raise InvalidWebhook(f"Choose at least one of {names}.", field="events")
    return [name for name in WebhookEvent.values if name in wanted]


def _save(row: Webhook) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Conflict(f"There is a webhook named {row.name} already.", field="name") from None


def _locked(webhook_id: int) -> Webhook:
    row = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id).first()
    if row is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    return row
