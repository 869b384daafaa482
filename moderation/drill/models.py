"""The runs of the drill."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import pgettext_lazy


class Drill(models.Model):
    """``images``: edit → id of the image that was added. ``missed``: a sentence for each edit that
    was not found, or for why nothing could be tried."""

    class State(models.TextChoices):
        RUNNING = "running", pgettext_lazy("code", "Running")
        PASSED = "passed", pgettext_lazy("code", "Passed")
        FAILED = "failed", pgettext_lazy("code", "Failed")

    started_at = models.DateTimeField(default=timezone.now, db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    images = models.JSONField(default=dict)
    missed = models.JSONField(default=list)

    class Meta:
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"drill {self.pk}"

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return ((self.ended_at or timezone.now()) - self.started_at).total_seconds()
