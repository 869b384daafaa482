"""The audit: rows that are only added, each chained to the previous one by a digest."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class AuditEvent(models.Model):
    """One command. It refers to rows by table and id, so it outlives them.

    ``digest`` is a SHA-256 of this row's content and the previous row's ``digest``
    (``moderation.audit.trail``). A trigger refuses UPDATE and DELETE.
    """

    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=160, help_text=_("user:…, key:…, worker, command, open"))
    verb = models.CharField(max_length=60, help_text=_("what was done, e.g. item.retired"))
    subject = models.CharField(max_length=60, help_text=_("the table, e.g. moderation.banneditem"))
    subject_id = models.BigIntegerField(
        null=True, blank=True, help_text=_("null = several or none")
    )
    count = models.PositiveIntegerField(default=1, help_text=_("rows that it changed"))
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True)
    previous = models.CharField(max_length=64, help_text=_("digest of the event before"))
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name = "audit event"
        indexes = [
            models.Index(fields=["subject", "subject_id"], name="auditevent_subject"),
            models.Index(fields=["actor", "at"], name="auditevent_actor_at"),
        ]

    def __str__(self) -> str:
        return gettext("event %(number)s") % {"number": self.pk}
