"""Webhooks, and the messages that are sent to them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _


class WebhookEvent(models.TextChoices):
    """The events that a webhook can subscribe to."""

    READY = "item.ready", pgettext_lazy("code", "Ready")
    FAILED = "item.failed", pgettext_lazy("code", "Failed")
    VERDICT = "verdict", pgettext_lazy("code", "Verdict")
    DECISION = "decision", pgettext_lazy("code", "Decision")
    REVERSAL = "decision.reversed", pgettext_lazy("code", "Reversal")
    PROBING = "check.probing", pgettext_lazy("code", "Probing")
    DRILL_FAILED = "drill.failed", pgettext_lazy("code", "Drill Failed")
    STATEMENT = "statement", pgettext_lazy("code", "Statement")
    NOTICE_RECEIVED = "notice.received", pgettext_lazy("code", "Notice Received")
    NOTICE_OVERDUE = "notice.overdue", pgettext_lazy("code", "Notice Overdue")
    NOTICE_CLOSED = "notice.closed", pgettext_lazy("code", "Notice Closed")


TEST = "test"
"""The event of a test message that a user sent."""
PATIENCE = timedelta(hours=24)


def give_up_time() -> datetime:
    """Return the time until which a message that is created now is retried."""
    return timezone.now() + PATIENCE


class Webhook(models.Model):
    """An address that gets messages, and the secret that signs them.

    ``failures``: how often in a row the receiver was unreachable or failing. Nothing is sent until
    ``paused_until``.
    """

    name = models.CharField(max_length=100, unique=True)
    url = models.URLField(max_length=2048)
    secret = models.CharField(max_length=64, editable=False)
    events = ArrayField(models.CharField(max_length=20, choices=WebhookEvent.choices))
    enabled = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(events__contained_by=WebhookEvent.values) & Q(events__len__gt=0),
                name="webhook_events_known",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message to one address, created in the transaction that it reports.

    ``key`` identifies the reported change, so that it is sent once and a receiver can detect
    repeats.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=20, choices=[*WebhookEvent.choices, (TEST, TEST)])
    key = models.CharField(max_length=120)
    payload = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now, help_text=_("when it is tried again"))
    give_up_at = models.DateTimeField(
        default=give_up_time, help_text=_("a day after it was written")
    )
    delivered_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=Q(delivered_at__isnull=True, given_up_at__isnull=True),
                name="delivery_due",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "key"], name="delivery_once"),
        ]

    def __str__(self) -> str:
        return gettext("%(event)s to %(webhook)s") % {
            "event": self.event,
            "webhook": self.webhook,
        }
