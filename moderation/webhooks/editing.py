"""Creates, changes and deletes webhooks, and sends their messages again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from gallery.net.transport import FetchFailed, Target
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.webhooks.models import PATIENCE, TEST, Delivery, Webhook, WebhookEvent
from moderation.webhooks.outbox import wake
from moderation.webhooks.signing import new_secret

LONGEST_NAME, LONGEST_URL = 100, 2048


class InvalidWebhook(UserError):
    """The name, the address or the choice of events is not valid."""


@transaction.atomic
def create_webhook(
    *, by: Actor, name: str, url: str, events: Iterable[str], enabled: bool = True
) -> Webhook:
    """Create a webhook. The caller shows its ``secret`` once.

    Raise ``NotAllowed``, ``InvalidWebhook``, or ``Conflict`` if the name is taken.
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
    """Set ``name``, ``url``, ``events`` or ``enabled``. Record nothing if nothing changes.

    After a change, the waiting messages are sent at once. Raise the errors of ``create_webhook``,
    and ``NotFound``.
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
    """Give a webhook a new secret, which signs messages from now on."""
    check(by, "edit webhooks")
    row = _locked(webhook_id)
    row.secret = new_secret()
    row.save(update_fields=["secret"])
    trail.record(by=by.name, verb="webhook.secret_renewed", subject=row)
    return row


@transaction.atomic
def delete_webhook(*, by: Actor, webhook_id: int) -> None:
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
    """Create a test message, also for a disabled webhook."""
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
    """Send undelivered messages now, and retry them for another day. Return how many."""
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
    """Return the audit's record of a webhook, without the secret."""
    return {"name": row.name, "url": row.url, "events": row.events, "enabled": row.enabled}


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise InvalidWebhook(
            gettext("Give a name of 1 to %(longest_name)s characters.")
            % {"longest_name": LONGEST_NAME},
            field="name",
        )
    return name


def _url(text: str) -> str:
    if len(text) > LONGEST_URL:
        raise InvalidWebhook(
            gettext("An address has at most %(longest_url)s characters.")
            % {"longest_url": LONGEST_URL},
            field="url",
        )
    try:
        Target.parse(text, "")
    except FetchFailed as error:
        raise InvalidWebhook(error.message, field="url") from error
    return text.strip()


def _events(chosen: Iterable[str]) -> list[str]:
    wanted = set(chosen)
    if not wanted or wanted - set(WebhookEvent.values):
        names = ", ".join(WebhookEvent.values)
        raise InvalidWebhook(
            gettext("Choose at least one of %(names)s.") % {"names": names}, field="events"
        )
    return [name for name in WebhookEvent.values if name in wanted]


def _save(row: Webhook) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Conflict(
            gettext("There is a webhook named %(name)s already.") % {"name": row.name}, field="name"
        ) from None


def _locked(webhook_id: int) -> Webhook:
    row = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id).first()
    if row is None:
        raise NotFound(gettext("There is no webhook %(number)s.") % {"number": webhook_id})
    return row
