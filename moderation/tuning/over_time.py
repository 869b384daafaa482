"""The precision of a match type in each of the last weeks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.readable import distance
from moderation.access.permissions import Actor, check
from moderation.cases.models import THRESHOLD_MET_SQL
from moderation.cases.statistics import Rate, many_rows
from moderation.tuning.thresholds import method_of

WEEKS: Final = 8
BANDS: Final = 4

# All matches within the threshold of their time were queued; beyond it, only a sample.
OVER_TIME = f"""
SELECT date_trunc('week', c.decided_at)::date, m.source,
       least(floor(%(bands)s * m.distance / nullif(%(observe)s, 0)), %(bands)s - 1)::int,
       {THRESHOLD_MET_SQL},
       count(DISTINCT c.id) FILTER (WHERE c.state = 'confirmed'),
       count(DISTINCT c.id) FILTER (WHERE c.state = 'dismissed')
FROM moderation_casematch m JOIN moderation_reviewcase c ON c.id = m.case_id
WHERE m.list_id = %(list)s AND m.match_type = %(match_type)s AND m.edit = ''
  AND c.decided_at >= %(since)s
GROUP BY 1, 2, 3, 4
"""  # noqa: S608  # constants alone


@dataclass(frozen=True)
class Series:
    """A row of the table: a rate for each week, and one for all weeks."""

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


def precision_over_time(*, by: Actor, list_id: int, match_type: str) -> OverTime:
    """Return the precision of a match type in each of the last ``WEEKS`` weeks: overall and by
    source of the items, within the threshold; by band of distance, also beyond it.

    Raise ``NotAllowed`` and ``NotFound``.
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
    names = [
        gettext("%(low)s to %(high)s") % {"low": distance(low), "high": distance(high)}
        for low, high in pairwise(edges)
    ]
    bands = _series(((names[row[2] or 0], row) for row in rows), weeks)
    within = [row for row in rows if row[3]]
    return OverTime(
        weeks,
        _series(((gettext("all"), row) for row in within), weeks),
        _series(((row[1] or gettext("no source"), row) for row in within), weeks),
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
