"""API keys, one-time passwords that have not been changed yet, clusters of workers, and jobs."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gallery.shared.errors import Conflict

KEY_START = "imgs_"

LAST_USED_STEP = timedelta(minutes=1)
"""How old ``last_used_at`` may be. Without it, each request would write a row."""


class Scope(models.TextChoices):
    """What a key may do. No scope includes another."""

    SEARCH = "search", _("search and read")
    ADD = "add", _("add, change and delete items")
    CHECK = "check", _("check against the banned lists")
    LISTS = "lists", _("edit the banned lists")
    MODERATE = "moderate", _("decide cases (needs a user)")
    HMA = "hma", _("speak the API of HMA")
    NOTICES = "notices", _("hand in notices of people")


def digest(text: str) -> str:
    """Return the SHA-256 of a key in hex.

    A slow password hash protects secrets that can be guessed. A key has 256 random bits and cannot
    be guessed, and it is checked at each request.
    """
    return hashlib.sha256(text.encode()).hexdigest()


class ApiKey(models.Model):
    """A named, revocable key of a machine client; only its hash is stored.

    The text is ``imgs_<prefix>_<secret>``. Lists of keys show the prefix, so that a leaked key can
    be found. Rows are never deleted, because items store ``key:<name>`` as the one who added them.
    """

    name = models.CharField(max_length=100, unique=True, help_text=_("who uses it, e.g. loader"))
    prefix = models.CharField(max_length=8, editable=False)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text=_("the person who answers for it; needed by the scope moderate"),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("empty = never"))
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values) & Q(scopes__len__gt=0),
                name="apikey_scopes_known",
                violation_error_message="Choose at least one scope.",
            ),
            models.CheckConstraint(
                condition=~Q(scopes__contains=[Scope.MODERATE]) | Q(user__isnull=False),
                name="apikey_moderate_has_user",
                violation_error_message="The scope moderate needs a user: decisions are personal.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(cls, **fields: Any) -> tuple[ApiKey, str]:
        """Store a new key. Return it and its text, which cannot be read again."""
        key = cls(**fields)
        text = key.assign_secret()
        key.save(force_insert=True)
        return key, text

    def assign_secret(self) -> str:
        """Give an unsaved key its secret. Return the text of the key."""
        self.prefix = secrets.token_hex(4)
        text = f"{KEY_START}{self.prefix}_{secrets.token_urlsafe(32)}"
        self.sha256 = digest(text)
        return text

    def revoke(self) -> None:
        now = timezone.now()
        if not ApiKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=now):
            raise Conflict(f"The key {self.name} is revoked already.")
        self.revoked_at = now

    def ended(self, now: datetime) -> str:
        """Return why the key no longer works, or ""."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= now:
            return "expired"
        if self.user and not self.user.is_active:
            return "bound to a deactivated user"
        return ""

    def touch(self, now: datetime) -> None:
        """Store the time of use, at most once a minute."""
        if self.last_used_at is None or self.last_used_at < now - LAST_USED_STEP:
            ApiKey.objects.filter(pk=self.pk).update(last_used_at=now)
            self.last_used_at = now


class OneTimePassword(models.Model):
    """The hash of the password from the first start, which shows whether it was changed."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    password = models.CharField(max_length=128)

    def __str__(self) -> str:
        return f"one-time password of {self.user}"


class WorkerCluster(models.Model):
    """A cluster of workers that runs, or was killed. It writes here every few seconds."""

    queue = models.CharField(max_length=20)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    moved_at = models.DateTimeField(help_text="when a worker last had a task or began one")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "host", "pid"], name="workercluster_unique")
        ]

    def __str__(self) -> str:
        return f"{self.queue} on {self.host} ({self.pid})"


class Job(models.Model):
    """Work that an operator started from the page *Operations*, and its progress."""

    class Kind(models.TextChoices):
        DUPLICATES = "duplicates", _("Search for duplicates")
        BACKUP = "backup", _("Backup")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    UNFINISHED = (State.WAITING, State.RUNNING)

    kind = models.CharField(max_length=12, choices=Kind.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    restart = models.BooleanField(default=False, help_text="compare all images again")
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    result = models.TextField(blank=True)
    failure = models.TextField(blank=True)
    asked_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["kind"],
                condition=Q(state__in=("waiting", "running")),
                name="job_one_of_a_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"
