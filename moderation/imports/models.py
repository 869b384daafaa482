"""Models of imports and of their bad rows."""

from __future__ import annotations

import builtins

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from moderation.lists.models import BannedList


class ListImport(models.Model):
    """The import of a file into a list.

    ``counts``: entries that are added, changed, reactivated, retired, unchanged or kept; skipped
    hashes; bad rows. ``samples``: a few entries of each. ``options``: as in
    ``moderation.imports.options``. A change of a large share of the list waits for confirmation.
    ``applied_at``: the time that its new and retired items carry. ``applied_tx``: the transaction
    that inserted its hashes. ``reactivated``: ids of items.
    """

    class State(models.TextChoices):
        """``previewed``: the file was read and compared, and nothing was changed."""

        PENDING = "pending", pgettext_lazy("code", "Pending")
        RUNNING = "running", pgettext_lazy("code", "Running")
        PREVIEWED = "previewed", pgettext_lazy("code", "Previewed")
        WAITING = "waiting", pgettext_lazy("code", "waiting for confirmation")
        DONE = "done", pgettext_lazy("code", "Done")
        FAILED = "failed", pgettext_lazy("code", "Failed")

    list = models.ForeignKey(BannedList, on_delete=models.CASCADE, related_name="imports")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    file_name = models.CharField(max_length=255)
    file = models.FileField(max_length=200, blank=True, help_text=_("until it is read"))
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=32)
    size = models.PositiveBigIntegerField()
    dry_run = models.BooleanField(default=False)
    confirmed = models.BooleanField(default=False, help_text=_("a large change was agreed to"))
    agreed_by = models.CharField(
        max_length=160, blank=True, help_text=_("who may weaken the list, and wants it so")
    )
    progress = models.PositiveSmallIntegerField(default=0, help_text=_("per cent"))
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    samples = models.JSONField(default=dict)
    attempts = models.PositiveSmallIntegerField(default=0)
    failure = models.TextField(blank=True)
    added_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True, editable=False)
    applied_tx = models.BigIntegerField(null=True, blank=True, editable=False)
    reactivated = ArrayField(models.BigIntegerField(), default=builtins.list, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True, editable=False)
    undone_by = models.CharField(max_length=160, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import"

    def __str__(self) -> str:
        return gettext("import %(number)s of %(file)s") % {
            "number": self.pk,
            "file": self.file_name,
        }


class BadRow(models.Model):
    """A row of an import that could not be used, and why."""

    run = models.ForeignKey(ListImport, on_delete=models.CASCADE, related_name="bad_rows")
    place = models.CharField(max_length=80)
    reason = models.CharField(max_length=500)
    excerpt = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ()
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"
