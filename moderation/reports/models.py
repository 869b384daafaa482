"""Models: statements of reasons with their appeals, and notices of persons."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from moderation.cases.models import ReviewCase

NOTICE_TIME = timedelta(hours=48)
"""How long a decision about a notice may take."""


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Statement(models.Model):
    """The statement of reasons of a case, and the one appeal that its uploader may make.

    Whoever has the ``token`` may read it and appeal, without an account.
    """

    case = models.OneToOneField(ReviewCase, on_delete=models.CASCADE, related_name="statement")
    token = models.CharField(max_length=43, unique=True, default=new_token, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    appeal = models.TextField(blank=True, help_text="what the uploader wrote")
    appealed_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(appealed_at__isnull=True) ^ ~Q(appeal=""),
                name="statement_appealed_at_iff_appeal",
            )
        ]

    def __str__(self) -> str:
        return f"statement about case {self.case_id}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def open(self) -> Self:
        return self.filter(closed_at=None)

    def overdue(self) -> Self:
        return self.open().filter(due_at__lt=timezone.now())


class Notice(models.Model):
    """A person's notice that a picture must not be here. Its clock ends at ``due_at``.

    ``address`` or a file said which picture. ``cases``: those that decide about it and its copies.
    ``name`` and ``email`` are blank once they were deleted.
    """

    class Reason(models.TextChoices):
        INTIMATE = "intimate", _("An intimate picture that the person shown did not agree to")
        CHILD = "child", _("Sexual abuse or exploitation of a child")
        OTHER = "other", _("It is illegal for another reason")

    class Outcome(models.TextChoices):
        REMOVED = "removed", _("removed")
        PARTLY = "partly", _("removed in part")
        KEPT = "kept", _("not removed")
        ABSENT = "absent", _("not found here")

    reason = models.CharField(max_length=8, choices=Reason.choices)
    statement = models.TextField(help_text="what the person wrote")
    address = models.TextField(blank=True, help_text="where the picture was seen")
    sha256 = models.CharField(max_length=64, blank=True, help_text="of the picture's file")
    name = models.CharField(max_length=200, blank=True)
    email = models.CharField(max_length=254, blank=True)
    sent_by = models.CharField(max_length=160, help_text="open, key:…, user:…")
    cases = models.ManyToManyField(ReviewCase, related_name="notices")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    due_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=7, choices=Outcome.choices, blank=True)
    overdue_sent_at = models.DateTimeField(null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(closed_at__isnull=True), name="notice_open")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, outcome="")
                | Q(closed_at__isnull=False) & ~Q(outcome=""),
                name="notice_outcome_iff_closed",
            )
        ]

    def __str__(self) -> str:
        return f"notice {self.pk}"

    @property
    def is_overdue(self) -> bool:
        return self.closed_at is None and self.due_at < timezone.now()
