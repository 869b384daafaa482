"""Models: exchanges, what is pulled from them, and the feedback that they are given."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from moderation.exchanges.clients import Service
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, BannedList

BREAKER_FAILURES: Final = 3
"""Failures in a row after which an exchange counts as failing."""

LATE_AFTER: Final = timedelta(minutes=30)
"""How much later than its interval a pull may succeed before the exchange is late."""


class ExchangeQuerySet(models.QuerySet["Exchange"]):
    def pulled(self) -> Self:
        """Exchanges whose hashes are stored here."""
        return self.exclude(service=Service.ARACHNID_SHIELD)

    def remote(self) -> Self:
        """Services that are asked about each upload."""
        return self.filter(service=Service.ARACHNID_SHIELD)


class Exchange(models.Model):
    """An exchange of hashes that feeds one list, or a remote service that matches for one list.

    ``credentials``: encrypted. ``checkpoint``: up to where the exchange's changes are applied; what
    it holds depends on the service. ``failures``: in a row. ``next_at``: when it is pulled again,
    or, of a remote service that fails, until when it is not asked.
    """

    name = models.CharField(max_length=100, unique=True)
    service = models.CharField(max_length=20, choices=Service.choices)
    list = models.ForeignKey(BannedList, on_delete=models.CASCADE, related_name="exchanges")
    url = models.URLField(max_length=500)
    group = models.CharField(max_length=100, blank=True)
    negative_reason = models.CharField(max_length=100, blank=True)
    credentials = models.TextField(editable=False)
    enabled = models.BooleanField(default=False)
    minutes = models.PositiveIntegerField(default=60)
    ask_first = models.BooleanField(default=True)
    feedback = models.BooleanField(default=False)
    hold_unanswered = models.BooleanField(default=True)
    checkpoint = models.JSONField(default=dict, editable=False)
    next_at = models.DateTimeField(default=timezone.now, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    failure = models.CharField(max_length=500, blank=True, editable=False)
    succeeded_at = models.DateTimeField(null=True, editable=False)
    feedback_at = models.DateTimeField(default=timezone.now, editable=False)
    feedback_failures = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ExchangeQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            # A pull from the beginning retires what its source lacks.
            models.UniqueConstraint(fields=["list", "service"], name="exchange_once_a_list"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_remote(self) -> bool:
        return self.service == Service.ARACHNID_SHIELD

    @property
    def is_failing(self) -> bool:
        """Whether it is switched on and does not work."""
        if not self.enabled:
            return False
        if self.failures >= BREAKER_FAILURES:
            return True
        last = self.succeeded_at or self.created_at
        late = last + timedelta(minutes=self.minutes) + LATE_AFTER < timezone.now()
        return bool(late and not self.is_remote)


class Pull(models.Model):
    """A pull from an exchange: where its pages begin and end, and the imports that apply them.

    ``since``: where the pages begin. ``cursor``: the next page; null before the first, and if all
    were read. ``upto``: the checkpoint once it is applied. ``full``: it began at the beginning, so
    entries that it lacks are retired. ``withdrawals``: the import that retired at once what the
    exchange withdrew. ``run``: the import of all of it.
    """

    class State(models.TextChoices):
        FETCHING = "fetching"
        WAITING = "waiting", "waiting for confirmation"
        DONE = "done"
        FAILED = "failed", "not applied"
        UNDONE = "undone"

    OPEN = (State.FETCHING, State.WAITING)

    exchange = models.ForeignKey(Exchange, on_delete=models.CASCADE, related_name="pulls")
    state = models.CharField(max_length=8, choices=State.choices, default=State.FETCHING)
    since = models.JSONField(default=dict)
    cursor = models.JSONField(null=True)
    upto = models.JSONField(null=True)
    full = models.BooleanField(default=False)
    pages = models.PositiveIntegerField(default=0)
    records = models.PositiveIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0, help_text="bytes")
    withdrawals = models.ForeignKey(
        ListImport, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    run = models.ForeignKey(ListImport, on_delete=models.SET_NULL, null=True, related_name="pulls")
    failure = models.CharField(max_length=500, blank=True)
    started_by = models.CharField(max_length=160)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["exchange"],
                condition=Q(state__in=["fetching", "waiting"]),
                name="pull_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"pull {self.pk} from {self.exchange}"


class PulledPage(models.Model):
    """A page as the exchange sent it, compressed, until its pull is applied."""

    pull = models.ForeignKey(Pull, on_delete=models.CASCADE, related_name="stored_pages")
    number = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        ordering = ["number"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["pull", "number"], name="pulledpage_once"),
        ]

    def __str__(self) -> str:
        return f"page {self.number} of pull {self.pull_id}"


class FeedbackQuerySet(models.QuerySet["ExchangeFeedback"]):
    def unsent(self) -> Self:
        return self.exclude(wanted=F("sent"))


class ExchangeFeedback(models.Model):
    """Feedback about an item for an exchange: what is ``wanted``, and what was ``sent``.

    Both are the exchange's own word, "" for nothing. It is sent until both are equal, so a lost
    answer costs a repetition, and a decision that was undone before it was sent costs nothing.
    ``refused``: the exchange does not take it; it is not sent again by itself.
    """

    exchange = models.ForeignKey(Exchange, on_delete=models.CASCADE, related_name="feedbacks")
    item = models.ForeignKey(BannedItem, on_delete=models.CASCADE, related_name="+")
    wanted = models.CharField(max_length=20, blank=True)
    sent = models.CharField(max_length=20, blank=True, default="")
    refused = models.CharField(max_length=500, blank=True, default="")
    changed_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["exchange", "item"], name="exchangefeedback_once"),
        ]
        indexes = [
            models.Index(
                fields=["exchange", "changed_at"],
                condition=~Q(wanted=F("sent")) & Q(refused=""),
                name="exchangefeedback_unsent",
            )
        ]

    def __str__(self) -> str:
        return f"feedback on item {self.item_id} to {self.exchange}"
