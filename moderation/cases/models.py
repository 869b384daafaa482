"""Models: cases, matches, decisions, reviewers' settings, looks, and open pages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import F, FloatField, Func, Q, Value
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast, Greatest, Ln
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from gallery.items.models import Image
from gallery.shared.errors import NotFound, UserError
from gallery.shared.leases import is_free
from gallery.shared.locking import locked as lock_rows
from moderation.access.words import WORDS
from moderation.cases.states import CaseState
from moderation.lists.models import SEVERITIES, BannedItem, BannedList
from moderation.lists.thresholds import Thresholds
from moderation.lists.verdicts import MATCH_TYPES, Severity, Verdict
from videos.models import Video

VERDICTS = [(verdict.value, WORDS[verdict]) for verdict in Verdict]
LEAST_CONFIDENCE = 0.01
"""Lower bound of the confidence in ``rank``: the logarithm needs more than 0."""
_WEIGHT = Cast("severity", FloatField()) * Greatest(F("confidence"), Value(LEAST_CONFIDENCE))
_DAYS = Func(
    F("created_at"),
    # A difference of times: PostgreSQL does not treat the epoch of a time as immutable.
    template="(date_part('epoch', %(expressions)s - to_timestamp(0)) / 86400)",
    output_field=FloatField(),
)


WITHHOLDING = Q(held=True) | Q(state=CaseState.CONFIRMED) & ~Q(origin="shadow")
"""Cases that withhold their subject until a decision releases it."""
MAX_SELECTED = 1000
UNDECIDED = Q(state__in=CaseState.undecided())


def on_legal_hold() -> Q:
    """Cases whose legal hold has not ended."""
    lasting = Q(legal_hold_until=None) | Q(legal_hold_until__gt=timezone.now())
    return Q(legal_hold=True) & lasting


def locked() -> Q:
    """Cases that a person is working on: the lock has not expired."""
    return Q(claimed_by__isnull=False) & ~is_free()


class ReviewCaseQuerySet(models.QuerySet["ReviewCase"]):
    def open(self) -> Self:
        return self.filter(UNDECIDED)

    def existing(self, pk: int, field: str | None = None) -> ReviewCase:
        """Return one case. Raise ``NotFound`` about ``field``, the field of a request."""
        case = self.filter(pk=pk).first()
        if case is None:
            raise NotFound(gettext("There is no case %(number)s.") % {"number": pk}, field=field)
        return case

    def lock_selected(self, case_ids: Iterable[int]) -> list[ReviewCase]:
        """``lock_with_content``. Raise ``UserError`` for no or too many cases, ``NotFound``."""
        wanted = set(case_ids)
        if not 1 <= len(wanted) <= MAX_SELECTED:
            raise UserError(
                gettext("These are %(number)s cases: select 1 to %(most)s.")
                % {"number": f"{len(wanted):,}", "most": f"{MAX_SELECTED:,}"},
                field="cases",
            )
        cases = self.lock_with_content(wanted)
        if lost := wanted - {case.pk for case in cases}:
            raise NotFound(
                gettext("There is no case %(number)s.") % {"number": min(lost)}, field="cases"
            )
        return cases

    def lock_with_content(self, case_ids: Iterable[int]) -> list[ReviewCase]:
        """Lock the cases, and before them their images and videos, until the transaction ends.
        Return the cases by id.

        The order is that of ``gallery.shared.locking``. The publishing gate and deletions lock an
        image before its cases; locking the cases first would deadlock with them.
        """
        wanted = self.filter(pk__in=set(case_ids))
        subjects = list(wanted.order_by().values_list("image", "video"))
        images = {image for image, _ in subjects if image is not None}
        videos = {video for _, video in subjects if video is not None}
        if images:
            lock_rows(Image.objects.filter(pk__in=images).only("pk"), no_key=True)
        if videos:
            lock_rows(Video.objects.filter(pk__in=videos).only("pk"), no_key=True)
        lock_rows(wanted.only("pk"))
        # Read the cases again: the joined rows must be read after the locks.
        return list(
            wanted.select_related("image", "video", "claimed_by")
            .defer("image__meta", "video__meta")
            .order_by("pk")
        )


class DecisionQuerySet(models.QuerySet["Decision"]):
    def live(self) -> Self:
        """Decisions that count: not undone, and no second opinions."""
        return self.filter(undone_at=None, blind_review=False)


class ReviewCase(models.Model):
    """A case that a person has to decide, with a snapshot of the reasons.

    The subject is an image, a video, or bytes that were only checked (``check``). ``evidence``
    outlives the subject: hashes, url, data_id, uploader, format, size, and why methods could not
    run. ``cluster``: identical and nearly identical subjects share it, and can be decided together.
    ``sampling_weight``: the number of matches that this case stands for.

    The queue's priority is severity × confidence × age, where age doubles every day. ``rank`` is
    its logarithm without the part that grows equally for all cases, so an index keeps the order.
    """

    class Origin(models.TextChoices):
        """How the match was found. Decisions on a ``shadow`` case have no effect on content."""

        UPLOAD = "upload", pgettext_lazy("code", "Upload")
        CHECK = "check", pgettext_lazy("code", "Check")
        RETRO_SCAN = "retro_scan", pgettext_lazy("code", "Retro Scan")
        SAMPLE = "sample", pgettext_lazy("code", "sample beyond the threshold")
        SHADOW = "shadow", pgettext_lazy("code", "sample of a list in shadow")
        FLOOD = "flood", pgettext_lazy("code", "Flood")
        LINK = "link", pgettext_lazy("code", "changed content of a link")
        NOTICE = "notice", pgettext_lazy("code", "notice of a person")

    state = models.CharField(
        max_length=12, choices=CaseState.choices, default=CaseState.OPEN, editable=False
    )
    origin = models.CharField(max_length=12, choices=Origin.choices)
    image = models.ForeignKey(
        Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="cases"
    )
    video = models.ForeignKey(
        Video, on_delete=models.SET_NULL, null=True, blank=True, related_name="cases"
    )
    verdict = models.CharField(max_length=6, choices=VERDICTS, help_text=_("of the machine"))
    severity = models.PositiveSmallIntegerField(choices=SEVERITIES, default=Severity.MEDIUM)
    confidence = models.FloatField(default=1.0, help_text=_("of the strongest match, 0 to 1"))
    two_person = models.BooleanField(default=False)
    held = models.BooleanField(default=False, help_text=_("the subject is hidden until decided"))
    cluster = models.CharField(max_length=64)
    sampling_weight = models.FloatField(default=1.0)
    rank = models.GeneratedField(
        expression=Ln(_WEIGHT) / Value(math.log(2)) - _DAYS,
        output_field=FloatField(),
        db_persist=True,
    )
    evidence = models.JSONField(default=dict)
    picture = models.FileField(
        max_length=200, blank=True, help_text=_("of a checked picture that is not in the gallery")
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    claimed_until = models.DateTimeField(null=True, blank=True)
    legal_hold = models.BooleanField(
        default=False, help_text=_("nothing of it is deleted, until the hold ends")
    )
    legal_hold_until = models.DateTimeField(
        null=True, blank=True, help_text=_("null: until lifted")
    )
    legal_hold_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = ReviewCaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "case"
        indexes = [
            models.Index(
                fields=["-rank", "id"],
                condition=Q(state__in=CaseState.undecided()),
                name="case_queue",
            ),
            models.Index(fields=["cluster", "-rank"], name="case_cluster"),
            models.Index(fields=["decided_at"], name="case_decided_at"),
            models.Index(KeyTransform("uploader", "evidence"), name="case_uploader"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=CaseState.values), name="case_state_known"
            ),
            models.CheckConstraint(
                condition=Q(image__isnull=True) | Q(video__isnull=True), name="case_one_subject"
            ),
            models.CheckConstraint(
                condition=Q(state__in=CaseState.decided()) ^ Q(decided_at__isnull=True),
                name="case_decided_at_iff_decided",
            ),
            models.CheckConstraint(
                condition=Q(legal_hold=True) & ~Q(legal_hold_reason="")
                | Q(legal_hold=False, legal_hold_until__isnull=True, legal_hold_reason=""),
                name="case_legal_hold_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return gettext("case %(number)s") % {"number": self.pk}

    @property
    def lock_holder(self) -> User | None:
        """Who is working on the case. None if nobody is, or the lock has expired."""
        is_locked = self.claimed_until is not None and self.claimed_until >= timezone.now()
        return self.claimed_by if is_locked else None

    @property
    def is_on_legal_hold(self) -> bool:
        until = self.legal_hold_until
        return self.legal_hold and (until is None or until > timezone.now())


THRESHOLD_MET = Q(distance__lte=F("threshold"))
"""Matches within their threshold, as ``CaseMatch.within``."""

THRESHOLD_MET_SQL = "m.distance <= m.threshold"
"""The same as SQL, for ``moderation_casematch m``."""


class CaseMatch(models.Model):
    """A match of a subject with an item. It has no ``case`` if it is beyond the threshold or in
    shadow.

    Names and numbers are a snapshot, so later changes of the list and the item do not change the
    row.
    """

    case = models.ForeignKey(
        ReviewCase, on_delete=models.CASCADE, null=True, blank=True, related_name="matches"
    )
    image = models.ForeignKey(Image, on_delete=models.SET_NULL, null=True, related_name="+")
    video = models.ForeignKey(Video, on_delete=models.SET_NULL, null=True, related_name="+")
    list = models.ForeignKey(
        BannedList, on_delete=models.SET_NULL, null=True, related_name="matches"
    )
    item = models.ForeignKey(
        BannedItem, on_delete=models.SET_NULL, null=True, related_name="matches"
    )
    sha256 = models.CharField(max_length=64, blank=True, help_text=_("of the subject's bytes"))
    list_name = models.CharField(max_length=100)
    list_version = models.PositiveBigIntegerField()
    source = models.CharField(max_length=255, blank=True)
    match_type = models.CharField(max_length=8, choices=[(name, name) for name in MATCH_TYPES])
    distance = models.FloatField()
    threshold = models.FloatField()
    observe = models.FloatField()
    quality = models.PositiveSmallIntegerField(null=True, help_text=_("of the subject's pdq"))
    time_ms = models.PositiveIntegerField(
        null=True, help_text=_("of the subject, if it is a video")
    )
    item_time_ms = models.PositiveIntegerField(null=True)
    frame = models.PositiveIntegerField(null=True, help_text=_("of an animation, from 0"))
    geometry = models.JSONField(null=True, help_text=_("where the subject shows the item"))
    edit = models.CharField(
        max_length=60, blank=True, default="", help_text=_("what was done to the item's picture")
    )
    verdict = models.CharField(max_length=6, choices=VERDICTS)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = "match"
        verbose_name_plural = "matches"
        indexes = [
            models.Index(fields=["item", "created_at"], name="casematch_item_created"),
            models.Index(fields=["list", "match_type", "distance"], name="casematch_list_distance"),
        ]

    def __str__(self) -> str:
        return gettext("%(match_type)s match %(number)s") % {
            "match_type": self.match_type,
            "number": self.pk,
        }

    @property
    def within(self) -> bool:
        """Whether the threshold is met; else it is a near miss. As ``THRESHOLD_MET`` has it."""
        return Thresholds(self.threshold, self.observe).met_by(self.distance)

    @property
    def rendering(self) -> str:
        """The rendering of the subject that matched, "" for the usual one."""
        return str((self.geometry or {}).get("rendering", ""))


class DecisionBatch(models.Model):
    """Decisions that one person made together. They are undone together."""

    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=40, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "decision batches"
        constraints = [
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True) ^ Q(undone_by__isnull=False),
                name="decisionbatch_undone_by_iff_undone",
            )
        ]

    def __str__(self) -> str:
        return gettext("batch %(number)s") % {"number": self.pk}


class Decision(models.Model):
    """One person's decision about one case. Rows never change, except to be marked as undone.

    ``effects``: what the decision changed, for undoing.
    """

    class Verb(models.TextChoices):
        CONFIRM = "confirm", pgettext_lazy("code", "Confirm")
        DISMISS = "dismiss", pgettext_lazy("code", "Dismiss")
        ESCALATE = "escalate", pgettext_lazy("code", "Escalate")
        APPEAL = "appeal", pgettext_lazy("code", "Appeal")

    case = models.ForeignKey(ReviewCase, on_delete=models.CASCADE, related_name="decisions")
    batch = models.ForeignKey(DecisionBatch, on_delete=models.PROTECT, related_name="decisions")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verb = models.CharField(max_length=8, choices=Verb.choices)
    state_before = models.CharField(max_length=12, choices=CaseState.choices)
    state_after = models.CharField(max_length=12, choices=CaseState.choices)
    looked = models.BooleanField(
        default=False, help_text=_("whether the media was shown unfiltered")
    )
    blind_review = models.BooleanField(
        default=False, help_text=_("a second opinion for quality, which changes nothing")
    )
    effects = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True, blank=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["by", "created_at"], name="decision_by_created")]

    def __str__(self) -> str:
        return f"{self.verb} of case {self.case_id}"


class ReviewPreference(models.Model):
    """A person's own settings. Without a row, media is blurred, muted and still."""

    class Filter(models.TextChoices):
        """How media is shown until a key reveals more."""

        BLUR = "blur", pgettext_lazy("code", "Blur")
        GREY = "grey", pgettext_lazy("code", "Grey")
        LINES = "lines", pgettext_lazy("code", "line drawing")
        CLEAR = "clear", pgettext_lazy("code", "Clear")

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    first_filter = models.CharField(max_length=5, choices=Filter.choices, default=Filter.BLUR)
    break_after = models.PositiveSmallIntegerField(
        default=100, help_text=_("looks in a day after which a break is suggested; 0 = never")
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
    """Who has a case open. Others see it; it expires soon after the page is left."""

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


class GoldenShare(models.Model):
    """How often a golden case comes. One row, or none: never."""

    per_hundred = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="goldenshare_one_row"),
            models.CheckConstraint(
                condition=Q(per_hundred__lte=100), name="goldenshare_at_most_100"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.per_hundred} of 100"


class GoldenCase(models.Model):
    """A settled case that is shown again as if it were open. ``verb``: the expected answer."""

    case = models.OneToOneField(
        ReviewCase, on_delete=models.CASCADE, primary_key=True, related_name="golden"
    )
    verb = models.CharField(max_length=8, choices=Decision.Verb.choices)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"golden case {self.case_id}"


class GoldenAnswer(models.Model):
    """What a person answered to a golden case. It has no effect, and is no decision."""

    case = models.ForeignKey(ReviewCase, on_delete=models.CASCADE, related_name="golden_answers")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    verb = models.CharField(max_length=8, choices=Decision.Verb.choices)
    expected = models.CharField(max_length=8, choices=Decision.Verb.choices)
    looked = models.BooleanField(help_text=_("whether the media was shown unfiltered"))
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["case", "by"], name="goldenanswer_once")]

    def __str__(self) -> str:
        return f"{self.verb} of golden case {self.case_id}"
