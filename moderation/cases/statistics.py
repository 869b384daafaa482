"""The dashboard's numbers: queue, decisions, delays, agreement, precision of lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from django.db import connection, transaction
from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from gallery.items.item import Status
from gallery.items.models import Image
from moderation.access.permissions import Actor, check
from moderation.cases import intervals, quality, wellbeing
from moderation.cases.intervals import Interval, Tally, share
from moderation.cases.models import THRESHOLD_MET_SQL, Decision, ReviewCase
from moderation.cases.quality import Agreements
from moderation.cases.wellbeing import Care
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, BannedList, ListMethod, RetroScan
from moderation.lists.verdicts import Severity
from moderation.webhooks.models import Delivery
from videos.models import Video

DAYS: Final = 30
ROWS_SHOWN: Final = 8
AGES: Final[Sequence[tuple[str, timedelta | None]]] = (
    (gettext_noop("under an hour"), timedelta(hours=1)),
    (gettext_noop("under a day"), timedelta(days=1)),
    (gettext_noop("under a week"), timedelta(weeks=1)),
    (gettext_noop("older"), None),
)

# If a case was appealed and decided again, its delay still starts at its opening.
DELAYS = """
SELECT percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (
         ORDER BY extract(epoch FROM decided_at - created_at)), count(*)
FROM moderation_reviewcase WHERE decided_at >= %s
"""


PRECISIONS = f"""
SELECT m.list_id, m.match_type, count(DISTINCT c.id) FILTER (WHERE c.state = 'confirmed'),
       count(DISTINCT c.id) FILTER (WHERE c.state = 'dismissed')
FROM moderation_casematch m JOIN moderation_reviewcase c ON c.id = m.case_id
WHERE {THRESHOLD_MET_SQL} AND c.decided_at >= %s
GROUP BY 1, 2
"""  # noqa: S608  # constants alone
RECENT: Final = timedelta(days=90)


@dataclass(frozen=True)
class Age:
    """The numbers of cases in one range of age, by severity, the highest first."""

    name: str
    counts: Sequence[int]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Day:
    day: date
    confirmed: int
    dismissed: int
    escalated: int

    @property
    def total(self) -> int:
        return self.confirmed + self.dismissed + self.escalated


@dataclass(frozen=True)
class Delays:
    """Seconds from the opening of a case to its decision. None without decided cases."""

    median: float | None
    p90: float | None
    decided: int


@dataclass(frozen=True)
class Rate:
    """``interval``: of confirmed / decided; None below ``intervals.MIN_DECIDED`` decisions."""

    confirmed: int
    dismissed: int
    interval: Interval | None

    @property
    def decided(self) -> int:
        return self.confirmed + self.dismissed

    @classmethod
    def of(cls, confirmed: int, dismissed: int) -> Rate:
        if confirmed + dismissed < intervals.MIN_DECIDED:
            return cls(confirmed, dismissed, None)
        one = np.ones(1)
        yes, no = (Tally(count * one, count * one, one) for count in (confirmed, dismissed))
        value, low, high = (float(part[0]) for part in share(yes, no))
        return cls(confirmed, dismissed, Interval(value, low, high))


@dataclass(frozen=True)
class ListPrecision:
    """Precision of one list and match type within the threshold, over the last 90 days."""

    list: BannedList
    match_type: str
    threshold: float
    rate: Rate


@dataclass(frozen=True)
class Overview:
    """The dashboard. ``severities``: the names, in the order of ``Age.counts``."""

    severities: Sequence[str]
    queue: Sequence[Age]
    days: Sequence[Day]
    delays: Delays
    agreements: Agreements
    second_opinions: int
    care: Care
    worst: Sequence[ListPrecision]
    suspended: QuerySet[BannedItem]
    failed_imports: QuerySet[ListImport]
    backlog: Mapping[str, int]


def overview(*, by: Actor) -> Overview:
    """Return the dashboard's numbers. Raise ``NotAllowed``."""
    check(by, "view cases")
    since = timezone.now() - timedelta(days=DAYS)
    suspended = BannedItem.objects.exclude(suspended_at=None).select_related("list")
    failed = ListImport.objects.filter(state=ListImport.State.FAILED, created_at__gte=since)
    return Overview(
        [severity.name.lower() for severity in sorted(Severity, reverse=True)],
        queue_by_age(),
        per_day(),
        delays(since),
        quality.agreements(by=by),
        quality.sampled_for_review().count(),
        wellbeing.looks_avoided(by=by, since=since),
        [row for row in precisions(by=by) if row.rate.interval][:ROWS_SHOWN],
        suspended.order_by("-suspended_at")[:ROWS_SHOWN],
        failed.select_related("list").order_by("-pk")[:ROWS_SHOWN],
        backlog(),
    )


def queue_by_age() -> list[Age]:
    now = timezone.now()
    ranges = [
        When(created_at__gte=now - age, then=Value(name)) for name, age in AGES if age is not None
    ]
    oldest = Value(AGES[-1][0])
    rows = (
        ReviewCase.objects.open()
        .order_by()
        .values_list(Case(*ranges, default=oldest, output_field=CharField()), "severity")
        .annotate(Count("pk"))
    )
    counted = {(age, severity): count for age, severity, count in rows}
    order = sorted(Severity, reverse=True)
    return [Age(name, [counted.get((name, one), 0) for one in order]) for name, _ in AGES]


def per_day() -> list[Day]:
    """Count the live decisions of the last ``DAYS`` days, oldest first."""
    today = timezone.now().date()
    days = [today - timedelta(days=n) for n in range(DAYS - 1, -1, -1)]
    verbs = Decision.Verb
    rows = (
        Decision.objects.live()
        .filter(created_at__date__gte=days[0])
        .order_by()
        .annotate(day=TruncDate("created_at"))
        .values("day")
        .annotate(
            confirmed=Count("pk", filter=Q(verb=verbs.CONFIRM)),
            dismissed=Count("pk", filter=Q(verb=verbs.DISMISS)),
            escalated=Count("pk", filter=Q(verb=verbs.ESCALATE)),
        )
    )
    found: dict[date, Any] = {row["day"]: row for row in rows}
    return [Day(**found[day]) if day in found else Day(day, 0, 0, 0) for day in days]


def delays(since: Any) -> Delays:
    with connection.cursor() as cursor:
        cursor.execute(DELAYS, [since])
        shares, count = cursor.fetchone()
    median, p90 = shares or (None, None)
    return Delays(median, p90, count)


def backlog() -> dict[str, int]:
    unfinished = [RetroScan.State.PENDING, RetroScan.State.RUNNING]
    importing = [ListImport.State.PENDING, ListImport.State.RUNNING]
    messages = Delivery.objects.filter(delivered_at=None).aggregate(
        due=Count("pk", filter=Q(given_up_at=None)), given_up=Count("given_up_at")
    )
    return {
        gettext("images to describe"): Image.objects.filter(status=Status.PENDING).count(),
        gettext("videos to index"): Video.objects.filter(status=Status.PENDING).count(),
        gettext("scans of what is here"): RetroScan.objects.filter(state__in=unfinished).count(),
        gettext("imports"): ListImport.objects.filter(state__in=importing).count(),
        gettext("messages to send"): messages["due"],
        gettext("messages given up"): messages["given_up"],
    }


def precisions(*, by: Actor) -> list[ListPrecision]:
    """Return each match type that a banned list uses: least precise first, unknown ones last."""
    check(by, "view lists")
    with many_rows() as cursor:
        cursor.execute(PRECISIONS, [timezone.now() - RECENT])
        counted = {row[:2]: row[2:] for row in cursor.fetchall()}
    methods = ListMethod.objects.filter(enabled=True, list__kind=BannedList.Kind.BANNED)
    rows = [
        ListPrecision(
            method.list,
            method.match_type,
            method.thresholds.threshold,
            Rate.of(*counted.get((method.list_id, method.match_type), (0, 0))),
        )
        for method in methods.select_related("list").order_by("list__name", "match_type")
    ]
    return sorted(rows, key=lambda row: row.rate.interval.value if row.rate.interval else 2.0)


@contextmanager
def many_rows() -> Iterator[Any]:
    """Yield a cursor that joins by hash, without nested loops: it reads each table once.

    After a bulk load, or if one list has most matches, PostgreSQL may expect far too few rows and
    would then look up the other table for each row.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield cursor
        cursor.execute("SET LOCAL enable_nestloop = on")
