"""Numbers for those who answer for the whole: how precise lists are, how the queue fares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
from django.utils import timezone

from gallery.shared.errors import NotFound
from moderation.access.permissions import Actor, check
from moderation.cases import intervals
from moderation.cases.intervals import Interval, Tally, share
from moderation.cases.reading import many_rows
from moderation.lists.models import BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES

WEEKS: Final = 8
BANDS: Final = 4

# Within the threshold of its time is what everybody was asked about; beyond it a sample was.
OVER_TIME = """
SELECT date_trunc('week', c.decided_at)::date, m.source,
       least(floor(%(bands)s * m.distance / nullif(%(observe)s, 0)), %(bands)s - 1)::int,
       m.distance <= m.threshold,
       count(DISTINCT c.id) FILTER (WHERE c.state = 'confirmed'),
       count(DISTINCT c.id) FILTER (WHERE c.state = 'dismissed')
FROM moderation_casematch m JOIN moderation_reviewcase c ON c.id = m.case_id
WHERE m.list_id = %(list)s AND m.match_type = %(match_type)s AND m.edit = ''
  AND c.decided_at >= %(since)s
GROUP BY 1, 2, 3, 4
"""
PRECISIONS = """
SELECT m.list_id, m.match_type, count(DISTINCT c.id) FILTER (WHERE c.state = 'confirmed'),
       count(DISTINCT c.id) FILTER (WHERE c.state = 'dismissed')
FROM moderation_casematch m JOIN moderation_reviewcase c ON c.id = m.case_id
WHERE m.distance <= m.threshold AND c.decided_at >= %s
GROUP BY 1, 2
"""
RECENT: Final = timedelta(days=90)


@dataclass(frozen=True)
class Rate:
    """Confirmed of decided. ``interval`` is None under ``intervals.MIN_DECIDED``."""

    confirmed: int
    dismissed: int
    interval: Interval | None

    @property
    def decided(self) -> int:
        """Both."""
        return self.confirmed + self.dismissed

    @classmethod
    def of(cls, confirmed: int, dismissed: int) -> Rate:
        """With its interval."""
        if confirmed + dismissed < intervals.MIN_DECIDED:
            return cls(confirmed, dismissed, None)
        one = np.ones(1)
        yes, no = (Tally(count * one, count * one, one) for count in (confirmed, dismissed))
        value, low, high = (float(part[0]) for part in share(yes, no))
        return cls(confirmed, dismissed, Interval(value, low, high))


@dataclass(frozen=True)
class Series:
    """A line of the table over time: a rate for each week, and of all of them."""

    name: str
    weeks: Sequence[Rate]
    total: Rate


@dataclass(frozen=True)
class OverTime:
    """``weeks``: the Mondays, oldest first."""

    weeks: Sequence[date]
    overall: Sequence[Series]
    sources: Sequence[Series]
    bands: Sequence[Series]


def over_time(*, by: Actor, list_id: int, match_type: str) -> OverTime:
    """The precision of a match type in each of the last weeks: as a whole and for each source
    of the items, within the threshold; for each band of distances, also beyond it.

    Raises ``NotAllowed`` and ``NotFound``.
    """
    check(by, "view lists")
    method = method_of(list_id, match_type)
    observe = method.thresholds.near_miss
    today = timezone.now().date()
    monday = today - timedelta(days=today.weekday())
    weeks = [monday - timedelta(weeks=n) for n in range(WEEKS - 1, -1, -1)]
    values: dict[str, Any] = {
        "list": list_id,
        "match_type": match_type,
        "observe": observe,
        "bands": BANDS,
    }
    with many_rows() as cursor:
        cursor.execute(OVER_TIME, {**values, "since": weeks[0]})
        rows = cursor.fetchall()
    edges = [observe * n / BANDS for n in range(BANDS + 1)]
    names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    bands = _series(((names[row[2] or 0], row) for row in rows), weeks)
    within = [row for row in rows if row[3]]
    return OverTime(
        weeks,
        _series((("all", row) for row in within), weeks),
        _series(((row[1] or "no source", row) for row in within), weeks),
        sorted(bands, key=lambda series: names.index(series.name)),
    )


def _series(rows: Iterable[tuple[str, Sequence[Any]]], weeks: Sequence[date]) -> list[Series]:
    counted: dict[str, dict[date, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for name, (week, _, _, _, confirmed, dismissed) in rows:
        counted[name][week][0] += confirmed
        counted[name][week][1] += dismissed
    return [
        Series(
            name,
            [Rate.of(*by_week[week]) if week in by_week else Rate(0, 0, None) for week in weeks],
            Rate.of(*(sum(counts[n] for counts in by_week.values()) for n in (0, 1))),
        )
        for name, by_week in sorted(counted.items())
    ]


@dataclass(frozen=True)
class ListPrecision:
    """Of one list and match type, in the last 90 days, of what was within the threshold."""

    list: BannedList
    match_type: str
    threshold: float
    rate: Rate


def precisions(*, by: Actor) -> list[ListPrecision]:
    """Every match type that a banned list uses; the least precise first, the unknown last."""
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


def method_of(list_id: int, match_type: str) -> ListMethod:
    """The row of a banned list's match type, with its list. Raises ``NotFound``."""
    found = ListMethod.objects.select_related("list").filter(list=list_id, match_type=match_type)
    method = found.first()
    if method is None:
        known = ", ".join(PICTURE_TYPES)
        raise NotFound(f"There is no list {list_id}, or {match_type!r} is none of {known}.")
    if method.list.kind == BannedList.Kind.ALLOW:
        raise NotFound("An allow list opens no cases: its decisions say nothing of its thresholds.")
    return method
