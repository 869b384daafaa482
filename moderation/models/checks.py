"""Answers to checks that a client may ask again for, because it did not hear them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class CheckAnswer(models.Model):
    """What a client was answered under a key of its own choice. Kept for a day."""

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
