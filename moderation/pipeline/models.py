"""Models of checks: stored answers, and content near to banned items."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class CheckAnswer(models.Model):
    """The answer to a check that came with the client's own key. Kept for a day."""

    actor = models.CharField(max_length=160, help_text="whose key it is")
    key = models.CharField(max_length=255, help_text="the Idempotency-Key of the request")
    request = models.CharField(max_length=64, help_text="SHA-256 of what was asked")
    answer = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["actor", "key"], name="checkanswer_once"),
        ]

    def __str__(self) -> str:
        return f"answer {self.pk}"


class NearCheck(models.Model):
    """Content that a client checked, added or searched with, and an item near to it.

    Kept for a day. A client that tries many variants of one item is looking for one that passes.
    """

    client = models.CharField(max_length=160, help_text="whom budgets count")
    actor = models.CharField(max_length=160)
    item = models.ForeignKey("moderation.BannedItem", on_delete=models.CASCADE, related_name="+")
    content = models.CharField(max_length=64, help_text="its SHA-256, or of the hash asked about")
    verdict = models.CharField(max_length=8)
    alarmed = models.BooleanField(default=False, help_text="it is the one that raised the alarm")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["client", "item", "content"], name="nearcheck_once"),
        ]

    def __str__(self) -> str:
        return f"near check {self.pk}"
