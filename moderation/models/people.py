"""What is kept of the people who review: how they want media shown, and how much they saw."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ReviewPreference(models.Model):
    """A person's own settings. Without a row everything is blurred, muted and still."""

    class Filter(models.TextChoices):
        """How media is shown until a key reveals more."""

        BLUR = "blur"
        GREY = "grey"
        LINES = "lines", "line drawing"
        CLEAR = "clear"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    first_filter = models.CharField(max_length=5, choices=Filter.choices, default=Filter.BLUR)
    break_after = models.PositiveSmallIntegerField(
        default=100, help_text="looks in a day after which a break is suggested; 0 = never"
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"


class Exposure(models.Model):
    """How often a person saw media unfiltered on one day."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="exposure_once")]

    def __str__(self) -> str:
        return f"{self.count} looks on {self.day}"


class CaseView(models.Model):
    """Who has a case before them: shown to others, and gone soon after it is left."""

    case = models.ForeignKey(
        "moderation.ReviewCase", on_delete=models.CASCADE, related_name="views"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["case", "user"], name="caseview_once")]

    def __str__(self) -> str:
        return f"view of case {self.case_id}"
