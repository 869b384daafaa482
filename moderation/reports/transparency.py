"""The numbers of a month for a transparency report, counted from what never changes afterwards.

Openings come from the audit. Decisions are rows that stay; one that was undone counts in the month
in which it was made, and as undone in the month in which it was undone. So a month that is over has
the same numbers whenever it is counted; only a notice that is opened again counts in the month in
which it is closed again. Samples of lists in shadow, which change nothing, and
second opinions count nowhere.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson
from django.db import transaction
from django.utils import timezone

from gallery.shared.csv_export import csv_lines
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases.models import Decision, ReviewCase
from moderation.cases.states import CaseState
from moderation.reports.models import Notice, Statement

ACTION: Final = "view the audit"
NO_LIST: Final = "(no list)"
COLUMNS: Final = ("month", "subject", "list", "measure", "value")
CASE: Final = "moderation.reviewcase"


@dataclass(frozen=True)
class OfList:
    """Of one list, or of all: cases opened (``withheld``: at once, by the machine alone),
    decisions of people, and decisions undone. A case of several lists counts for each of them."""

    opened: int = 0
    withheld: int = 0
    confirmed: int = 0
    dismissed: int = 0
    undone: int = 0


@dataclass(frozen=True)
class Appeals:
    """``by_uploaders`` and ``by_moderators``: made. ``upheld``, ``reversed``: decided."""

    by_uploaders: int = 0
    by_moderators: int = 0
    upheld: int = 0
    reversed: int = 0


@dataclass(frozen=True)
class Notices:
    """``received``: by reason. ``late``: closed after their 48 hours, of all ``closed``."""

    received: Mapping[str, int]
    closed: Mapping[str, int]
    late: int = 0


@dataclass(frozen=True)
class Month:
    """``hours``: from the opening of a case to its first decision; None without decisions."""

    month: str
    all: OfList
    lists: Mapping[str, OfList]
    appeals: Appeals
    notices: Notices
    median_hours: float | None
    p90_hours: float | None

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str, str, str, Any]]:
        """Yield the same as rows of ``COLUMNS``."""
        for name, of_list in [("", self.all), *self.lists.items()]:
            for measure, value in asdict(of_list).items():
                yield self.month, "list" if name else "all", name, measure, value
        for measure, value in asdict(self.appeals).items():
            yield self.month, "appeals", "", measure, value
        for measure, value in self.notices.received.items():
            yield self.month, "notices received", "", measure, value
        for measure, value in self.notices.closed.items():
            yield self.month, "notices closed", "", measure, value
        yield self.month, "notices closed", "", "late", self.notices.late
        yield self.month, "hours to decision", "", "median", self.median_hours
        yield self.month, "hours to decision", "", "p90", self.p90_hours


def count(*, by: Actor, month: str) -> Month:
    """Count a month, ``2026-11``, in UTC. Raise ``NotAllowed`` and ``UserError``."""
    check(by, ACTION)
    start, end = bounds(month)
    decisions = _decisions(start, end)
    lists = _lists_of_cases({one.case_id for one in decisions})
    totals: Counter[str] = Counter()
    by_list: dict[str, Counter[str]] = {}

    def add(measure: str, names: Iterable[str]) -> None:
        totals[measure] += 1
        for name in names:
            by_list.setdefault(name, Counter())[measure] += 1

    for names, withheld in _openings(start, end):
        add("opened", names)
        if withheld:
            add("withheld", names)
    within = [one for one in decisions if start <= one.created_at < end]
    for one in decisions:
        names = lists.get(one.case_id, [NO_LIST])
        if start <= one.created_at < end:
            add(str(one.state_after), names)
        if one.undone_at is not None and start <= one.undone_at < end:
            add("undone", names)
    hours = _hours(within)
    return Month(
        month,
        OfList(**totals),
        {name: OfList(**by_list[name]) for name in sorted(by_list)},
        _appeals(within, start, end),
        _notices(start, end),
        round(statistics.median(hours), 2) if hours else None,
        round(float(np.percentile(hours, 90)), 2) if hours else None,
    )


def bounds(month: str) -> tuple[datetime, datetime]:
    """Return the beginning of the month and of the next. Raise ``UserError``."""
    try:
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise UserError("Give a month such as 2026-11.", field="month") from None
    if start > timezone.now():
        raise UserError("This month has not begun.", field="month")
    later = start.year + start.month // 12, start.month % 12 + 1
    return start, start.replace(year=later[0], month=later[1])


@transaction.atomic
def export(*, by: Actor, month: str, form: str) -> bytes:
    """Return a month as ``csv`` or ``json``. The export is an event of the audit."""
    if form not in ("csv", "json"):
        raise UserError("Give csv or json.", field="form")
    found = count(by=by, month=month)
    trail.record(
        by=by.name, verb="transparency.exported", subject=AuditEvent, after={"month": month}
    )
    if form == "csv":
        return "".join(csv_lines(COLUMNS, found.rows())).encode()
    return orjson.dumps(found.as_data(), option=orjson.OPT_INDENT_2)


def months() -> list[str]:
    """Return the months of the audit, the newest first."""
    first = AuditEvent.objects.order_by("id").values_list("at", flat=True).first()
    now = timezone.now()
    start = first or now
    number, last = start.year * 12 + start.month - 1, now.year * 12 + now.month - 1
    return [f"{one // 12}-{one % 12 + 1:02}" for one in range(last, number - 1, -1)]


def _openings(start: datetime, end: datetime) -> Iterator[tuple[Sequence[str], bool]]:
    """Yield the lists of each case that was opened, and whether it withheld its upload at once."""
    events = AuditEvent.objects.filter(verb="case.opened", at__gte=start, at__lt=end)
    for facts in events.values_list("after", flat=True).order_by("id").iterator(2000):
        after: dict[str, Any] = facts or {}
        if after.get("origin") == ReviewCase.Origin.SHADOW:
            continue
        names = dict.fromkeys(match["list"] for match in after.get("matches", ()))
        yield list(names) or [after.get("list", NO_LIST)], bool(after.get("held"))


def _decisions(start: datetime, end: datetime) -> list[Decision]:
    """Return the decisions that were made or undone in the month and settled their cases."""
    rows = Decision.objects.filter(blind_review=False).exclude(
        case__origin=ReviewCase.Origin.SHADOW
    )
    made = rows.filter(created_at__gte=start, created_at__lt=end)
    undone = rows.filter(undone_at__gte=start, undone_at__lt=end)
    settled = [*CaseState.decided(), CaseState.APPEALED]
    found = (made | undone).filter(state_after__in=settled).select_related("case")
    return list(found.order_by("pk"))


def _lists_of_cases(ids: Iterable[int]) -> dict[int, list[str]]:
    """Return case → names of the lists, as they were when the matches were found."""
    found: dict[int, dict[str, None]] = {}
    rows = ReviewCase.objects.filter(pk__in=list(ids)).exclude(matches=None)
    for pk, name in rows.order_by("matches__pk").values_list("pk", "matches__list_name"):
        found.setdefault(pk, {})[name] = None
    return {pk: list(names) for pk, names in found.items()}


def _hours(decisions: Sequence[Decision]) -> list[float]:
    """Return how long each first decision took."""
    return [
        (one.created_at - one.case.created_at).total_seconds() / 3600
        for one in decisions
        if one.state_after in CaseState.decided() and one.state_before != CaseState.APPEALED
    ]


def _appeals(decisions: Sequence[Decision], start: datetime, end: datetime) -> Appeals:
    again = [one for one in decisions if one.state_before == CaseState.APPEALED]
    made = sum(one.verb == Decision.Verb.APPEAL for one in decisions)
    upheld = sum(one.verb == Decision.Verb.CONFIRM for one in again)
    return Appeals(
        Statement.objects.filter(appealed_at__gte=start, appealed_at__lt=end).count(),
        made,
        upheld,
        len(again) - upheld,
    )


def _notices(start: datetime, end: datetime) -> Notices:
    received = Notice.objects.filter(created_at__gte=start, created_at__lt=end)
    closed = Notice.objects.filter(closed_at__gte=start, closed_at__lt=end)
    reasons = Counter(received.order_by().values_list("reason", flat=True))
    rows = list(closed.order_by().values_list("outcome", "closed_at", "due_at"))
    outcomes = Counter(outcome for outcome, *_ in rows)
    return Notices(
        {reason: reasons[reason] for reason in Notice.Reason.values},
        {outcome: outcomes[outcome] for outcome in Notice.Outcome.values},
        sum(at is not None and at > due for _, at, due in rows),
    )
