"""Changes of lists that let more through, and wait for a second person."""

from __future__ import annotations

import builtins
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from moderation.models.lists import BannedList


class ListChangeQuerySet(models.QuerySet["ListChange"]):
    """Questions about several changes."""

    def waiting(self) -> Self:
        """Those that can still be confirmed."""
        return self.filter(state=ListChange.State.WAITING, expires_at__gt=timezone.now())


class ListChange(models.Model):
    """A change that was asked for and not made. ``command`` and ``arguments`` make it.

    ``weakens``: what it would let through, a sentence each. One that nobody confirms in time can
    only be asked for again.
    """

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting"
        APPLIED = "applied"
        REFUSED = "refused"

    list = models.ForeignKey(
        BannedList, on_delete=models.SET_NULL, null=True, related_name="changes"
    )
    list_name = models.CharField(max_length=100)
    command = models.CharField(max_length=20)
    arguments = models.JSONField()
    weakens = models.JSONField(default=builtins.list)
    reason = models.CharField(max_length=1000, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    asked_by = models.CharField(max_length=160)
    asker = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="the person who asked, or whose key did",
    )
    decided_by = models.CharField(max_length=160, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=1000, blank=True, help_text="why it was decided so")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    objects = ListChangeQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        verbose_name = "change that waits"
        verbose_name_plural = "changes that wait"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="waiting") ^ models.Q(decided_at__isnull=False),
                name="listchange_decided_at_iff_decided",
            )
        ]

    def __str__(self) -> str:
        return f"change {self.pk} of {self.list_name}"
