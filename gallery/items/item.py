"""The abstract model of images and videos, and its statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self, TypeVar

from django.contrib.postgres.indexes import GinIndex, HashIndex
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gallery.shared.errors import Conflict
from gallery.shared.leases import is_free


class Status(models.TextChoices):
    """Searches find ``ready`` items only."""

    PENDING = "pending", _("Pending")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    QUARANTINED = "quarantined", _("Quarantined")


STATUS_WORDS: Mapping[str, Any] = {
    Status.PENDING: _("pending"),
    Status.READY: _("ready"),
    Status.FAILED: _("failed"),
    Status.QUARANTINED: _("quarantined"),
}
"""As they stand in sentences of pages."""


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.READY, Status.FAILED, Status.QUARANTINED}),
    Status.FAILED: frozenset({Status.PENDING}),
    Status.READY: frozenset({Status.QUARANTINED}),
    Status.QUARANTINED: frozenset({Status.READY}),
}
"""Allowed status changes; docs/image-states.md is generated from this."""

PUBLISHED: Final = (Status.READY, Status.QUARANTINED)
"""The statuses of items that were described and went through the publishing gates."""

NO_MD5: Final = "?"
"""Begins ``Item.md5`` of an item that was moved in without the md5 of its file."""

UNREADABLE: Final = -1
"""Value of ``Item.pictures_version``: the file was tried again and could not be read."""

ItemT = TypeVar("ItemT", bound="Item")


class ItemQuerySet(models.QuerySet[ItemT]):
    def ready(self) -> Self:
        return self.filter(status=Status.READY)

    def unclaimed(self) -> Self:
        return self.filter(is_free())

    def describable(self) -> Self:
        """Return pending items that no worker holds a lease on."""
        return self.unclaimed().filter(status=Status.PENDING)

    def outdated(self) -> Self:
        """Return published items read by older code, or with an unreadable file. Uses an index."""
        return self.filter(
            pictures_version__lt=self.model.PICTURES_VERSION,
            status__in=PUBLISHED,
            media_deleted_at=None,
        ).exclude(sha256="")

    def never_read(self) -> Self:
        """Return published items that were moved in without their file."""
        return self.filter(sha256="", status__in=PUBLISHED, media_deleted_at=None)

    def outdated_for_workers(self) -> Self:
        """Return untried outdated items with an original: workers reprocess these on their own."""
        untried = self.outdated().exclude(pictures_version=UNREADABLE)
        return untried.exclude(original="")


def outdated_index(version: int) -> models.Index:
    """Return the index for ``ItemQuerySet.outdated``. ``version``: the class's PICTURES_VERSION."""
    return models.Index(
        fields=["pictures_version", "id"],
        condition=models.Q(pictures_version__lt=version, status__in=PUBLISHED),
        name="%(class)s_not_looked_through",
    )


class Item(models.Model):
    """Abstract. Holds changeable facts only, no vectors. Ids are never reused."""

    PICTURES_VERSION: ClassVar[int]
    """Version of the code that reads all pictures in a file. A higher version finds more."""

    url = models.CharField(
        max_length=2048, null=True, blank=True, help_text="where it was fetched from; null = upload"
    )
    data_id = models.CharField(max_length=255, null=True, blank=True, help_text="the client's id")
    md5 = models.CharField(max_length=32, unique=True)
    sha1 = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64, db_index=True)
    format = models.CharField(max_length=8)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bytes = models.PositiveBigIntegerField()
    remark = models.TextField(null=True, blank=True)
    meta = models.JSONField(null=True, blank=True)
    original = models.FileField(max_length=200, blank=True)
    thumbnail = models.FileField(max_length=200, blank=True)
    keep_original = models.BooleanField(default=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PENDING)
    failure = models.TextField(blank=True, help_text="why it failed, as a sentence")
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    added_by = models.CharField(max_length=160, help_text="who added it: user:…, key:…, open")
    client = models.CharField(
        max_length=160,
        default="",
        db_default="",
        blank=True,
        help_text="whom the budget of near contents counts, until it has met the gates",
    )
    uploader = models.CharField(max_length=255, null=True, blank=True, help_text="client's text")
    created_at = models.DateTimeField(default=timezone.now)
    pictures_version = models.SmallIntegerField(
        default=0,
        db_default=0,
        help_text="which version of the code looked for every picture in its file; 0: none yet, "
        "-1: it could not be read",
    )

    quarantined_at = models.DateTimeField(
        null=True, blank=True, help_text="since when it is quarantined; null = it is not"
    )
    media_deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="when its files were deleted; its hashes are kept"
    )

    banned = False
    """Set in memory by a gate that holds the item as banned, to tell the caller who adds it."""
    shown, blurred, clearable = False, True, False
    """Whether a caller may see the item at all, sees it blurred first, and may see it clear on
    demand. ``media_access`` sets these in memory for each caller. By default nothing is shown."""

    class Meta:
        abstract = True
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["data_id"],
                opclasses=["text_pattern_ops"],
                name="%(class)s_data_id_prefix",
            ),
            HashIndex(fields=["url"], name="%(class)s_url_hash"),
            GinIndex(fields=["meta"], opclasses=["jsonb_path_ops"], name="%(class)s_meta_gin"),
            models.Index(fields=["status", "id"], name="%(class)s_status_id"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=Status.values), name="%(class)s_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status=Status.FAILED) ^ models.Q(failure=""),
                name="%(class)s_failure_iff_failed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self._meta.model_name} {self.pk}"

    @property
    def known_hashes(self) -> dict[str, str]:
        """The hashes of its file: md5, sha1, sha256 → lower-case hex. Without those not known."""
        every = {"md5": self.known_md5, "sha1": self.sha1, "sha256": self.sha256}
        return {kind: value for kind, value in every.items() if value}

    @property
    def known_md5(self) -> str | None:
        return None if self.md5.startswith(NO_MD5) else self.md5

    @property
    def status_word(self) -> str:
        return str(STATUS_WORDS[self.status])

    @property
    def was_read(self) -> bool:
        """False for an item that was moved in without its file: no hash, size or format is known
        but the md5."""
        return bool(self.sha256)

    def move_to(self, status: Status, *, failure: str = "") -> None:
        """Change the status in memory, as TRANSITIONS allows.

        Raises ``Conflict`` for a forbidden change. The caller holds the row's lock and saves.
        """
        if status not in TRANSITIONS[Status(self.status)]:
            name = str(self._meta.verbose_name).capitalize()
            raise Conflict(f"{name} {self.pk} is {self.status} and cannot become {status}.")
        self.status = status
        self.failure = failure
        self.claimed_until = None
        self.client = ""
        self.quarantined_at = timezone.now() if status == Status.QUARANTINED else None
