"""How media is shown to each person, and how often they saw it unfiltered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from gallery.items.models import Image
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor, can, check, person
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases.models import Decision, Exposure, ReviewCase, ReviewPreference
from videos.models import Video

SEEN: Final = "media.seen"


@dataclass(frozen=True)
class LooksToday:
    """Number of looks at unfiltered media today, and after how many looks a break is due."""

    count: int
    break_after: int

    @property
    def breaks(self) -> int:
        return self.count // self.break_after if self.break_after else 0


def preference(user: User) -> ReviewPreference:
    """Return the person's settings, or unsaved defaults."""
    found = ReviewPreference.objects.filter(user=user).first()
    return found or ReviewPreference(user=user)


def looks_today(user: User, preferred: ReviewPreference | None = None) -> LooksToday:
    break_after = (preferred or preference(user)).break_after
    row = Exposure.objects.filter(user=user, day=timezone.localdate()).first()
    return LooksToday(row.count if row else 0, break_after)


def looked_at(by: Actor, case_ids: Sequence[int]) -> set[int]:
    """Return those of the cases whose media the person saw unfiltered, on any page."""
    cases = ReviewCase.objects.filter(pk__in=set(case_ids)).values_list("pk", "image", "video")
    subjects = {
        pk: {(ReviewCase, pk), (Image, image), (Video, video)} for pk, image, video in cases
    }
    looks = AuditEvent.objects.filter(
        actor=by.name,
        verb=SEEN,
        subject__in=[model._meta.label_lower for model in (ReviewCase, Image, Video)],
        subject_id__in={pk for each in subjects.values() for _, pk in each if pk is not None},
    )
    seen = set(looks.order_by().values_list("subject", "subject_id").distinct())
    return {
        case
        for case, each in subjects.items()
        if any((model._meta.label_lower, pk) in seen for model, pk in each)
    }


@dataclass(frozen=True)
class LooksAvoided:
    """``avoided``: decisions without a clear view of the case's media, of all ``decided``."""

    name: str
    decided: int
    avoided: int

    @property
    def share(self) -> float | None:
        return self.avoided / self.decided if self.decided else None


@dataclass(frozen=True)
class Care:
    all: LooksAvoided
    people: Sequence[LooksAvoided]
    lists: Sequence[LooksAvoided]


def looks_avoided(*, by: Actor, since: datetime) -> Care:
    """Return how many cases were decided without a clear view, in all, by each person and by list.

    A lead sees everybody's numbers, others only their own. Raise ``NotAllowed``.
    """
    check(by, "view cases")
    rows = Decision.objects.live().filter(created_at__gte=since)
    people = _avoided(rows, "by__username")
    all_people = can(by, "undo the decisions of others")
    return Care(
        LooksAvoided("", sum(one.decided for one in people), sum(one.avoided for one in people)),
        [one for one in people if all_people or one.name == person(by).get_username()],
        _avoided(rows.exclude(case__matches=None), "case__matches__list_name"),
    )


def _avoided(rows: QuerySet[Decision], name: str) -> list[LooksAvoided]:
    found = rows.order_by(name).values_list(name)
    counted = found.annotate(
        decided=Count("pk", distinct=True),
        avoided=Count("pk", filter=Q(looked=False), distinct=True),
    )
    return [LooksAvoided(*row) for row in counted]


@transaction.atomic
def note_look(*, by: Actor, subject: Model, what: str) -> LooksToday:
    """Record that the caller sees media unfiltered: an audit event, and one more look today.

    ``subject``: the case, image, video or item. ``what``: the part of it, such as ``thumbnail`` or
    ``video``. Raise ``NotAllowed``.
    """
    check(by, "see media")
    user = person(by)
    day = timezone.localdate()
    Exposure.objects.get_or_create(user=user, day=day)
    Exposure.objects.filter(user=user, day=day).update(count=F("count") + 1)
    trail.record(by=by.name, verb=SEEN, subject=subject, after={"what": what})
    return looks_today(user)


@transaction.atomic
def set_preference(*, by: Actor, first_filter: str, break_after: int) -> ReviewPreference:
    """Set the caller's first filter for media, and after how many looks to suggest a break."""
    check(by, "see media")
    user = person(by)
    if first_filter not in ReviewPreference.Filter.values:
        raise UserError(
            gettext("%(first_filter)r is not a way to show media.")
            % {"first_filter": first_filter},
            field="first_filter",
        )
    if not 0 <= break_after <= 10_000:
        raise UserError(gettext("Give 0 (never) to 10,000 looks."), field="break_after")
    row, _ = ReviewPreference.objects.update_or_create(
        user=user, defaults={"first_filter": first_filter, "break_after": break_after}
    )
    trail.record(
        by=by.name,
        verb="preference.changed",
        subject=ReviewPreference,
        after={"first_filter": first_filter, "break_after": break_after},
    )
    return row
