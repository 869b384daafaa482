"""What runs for long: imports of hash lists and scans of what is already here."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from moderation.models.lists import BannedItem, BannedList


class ListImport(models.Model):
    """A file that is read into a list, or was.

    ``counts``: entries that are added, changed, reactivated, retired, unchanged or kept as they
    are here; hashes that are skipped; rows that are bad. ``samples``: a few entries of each.
    ``options``: as ``moderation.services.import_options`` reads them. A change of a large share of
    the list waits for somebody to confirm it.
    """

    class State(models.TextChoices):
        """previewed: read without changing anything."""

        PENDING = "pending"
        RUNNING = "running"
        PREVIEWED = "previewed"
        WAITING = "waiting", "waiting for confirmation"
        DONE = "done"
        FAILED = "failed"

    list = models.ForeignKey(BannedList, on_delete=models.CASCADE, related_name="imports")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    file_name = models.CharField(max_length=255)
    file = models.FileField(max_length=200, blank=True, help_text="until it is read")
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=32)
    size = models.PositiveBigIntegerField()
    dry_run = models.BooleanField(default=False)
    confirmed = models.BooleanField(default=False, help_text="a large change was agreed to")
    agreed_by = models.CharField(
        max_length=160, blank=True, help_text="who may weaken the list, and wants it so"
    )
    progress = models.PositiveSmallIntegerField(default=0, help_text="per cent")
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    samples = models.JSONField(default=dict)
    attempts = models.PositiveSmallIntegerField(default=0)
    failure = models.TextField(blank=True)
    added_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import"

    def __str__(self) -> str:
        return f"import {self.pk} of {self.file_name}"


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


class RetroScan(models.Model):
    """A search of what is already here for items of a list; of all of them without ``item``.

    ``position``: the last item that was looked for, so that a stopped scan goes on after it;
    ``animation``: then, the last image of several frames that was looked through.
    """

    class State(models.TextChoices):
        """Where it is."""

        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    list = models.ForeignKey(BannedList, on_delete=models.CASCADE, related_name="scans")
    item = models.ForeignKey(
        BannedItem, on_delete=models.CASCADE, null=True, blank=True, related_name="scans"
    )
    after_item = models.PositiveBigIntegerField(
        default=0, help_text="only items with a greater id: those that an import added"
    )
    reason = models.CharField(max_length=255)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    position = models.PositiveBigIntegerField(default=0)
    total = models.PositiveIntegerField(default=0, help_text="items to look for")
    done = models.PositiveIntegerField(default=0)
    animation = models.PositiveBigIntegerField(default=0)
    unseen = models.PositiveIntegerField(
        default=0,
        help_text="animations whose later frames could not be compared: their originals are gone",
    )
    found = models.PositiveIntegerField(default=0, help_text="matches within the thresholds")
    cases = models.PositiveIntegerField(default=0, help_text="cases that were opened")
    failure = models.TextField(blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    added_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(state__in=["pending", "running"]),
                name="retroscan_unfinished",
            )
        ]

    def __str__(self) -> str:
        return f"scan {self.pk} of {self.list}"
