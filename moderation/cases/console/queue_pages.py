"""The queue as a list and as a grid. The URL alone holds the filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor, can
from moderation.access.words import word
from moderation.cases import locks, queue, reasons, wellbeing
from moderation.cases.console import presenters
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import CaseView, ReviewCase, ReviewCaseQuerySet
from moderation.cases.permissions import decidable, for_others
from moderation.cases.queue import Filters
from moderation.cases.states import CaseState
from moderation.lists.models import BannedList
from moderation.lists.verdicts import MATCH_TYPES

PER_PAGE: Final = 24
MAX_PAGE: Final = 400
"""The last page that can be opened. Filters lead to the other cases."""


@require_safe
@console_page("view cases")
def queue_page(request: HttpRequest, by: Actor) -> HttpResponseBase:
    return render_page(
        request, "moderation/cases/queue.html", gettext("Review queue"), _context(request, by)
    )


@require_safe
@console_page("see media")
def grid_page(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """Show 24 thumbnails, to select and decide several cases at once."""
    context = _context(request, by)
    context["first_filter"] = wellbeing.preference(by.user).first_filter
    context["verbs"] = ("confirm", "dismiss", "escalate")
    return render_page(request, "moderation/cases/grid.html", gettext("Review grid"), context)


def _context(request: HttpRequest, by: Actor) -> dict[str, Any]:
    filters = Filters.read(request.GET)
    found = queue.cases(filters, by)
    may_decide = can(by, "decide cases")
    splits = may_decide and not filters.decided
    number = _page_number(request.GET.get("p", "1"))
    start = (number - 1) * PER_PAGE
    shown = found if filters.decided else queue.heads(found)
    parts = [decidable(shown, by), for_others(shown, by)] if splits else [shown]
    rows = _slice(parts, start, PER_PAGE + 1)
    sizes = {} if filters.decided else queue.sizes(found, (case.cluster for case in rows))
    lookers = _lookers(rows[:PER_PAGE], by)
    total = found.order_by().count()
    others = for_others(found.order_by(), by).count() if splits else 0
    return {
        "rows": [
            {
                **presenters.row(case, by, sizes.get(case.cluster, 1)),
                "lookers": lookers.get(case.pk, []),
            }
            for case in rows[:PER_PAGE]
        ],
        "filters": filters,
        "fields": _fields(filters),
        "total": total,
        "for_you": total - others,
        "for_others": others,
        "number": number,
        "before": number - 1,
        "after": number + 1 if len(rows) > PER_PAGE and number < MAX_PAGE else 0,
        "seen": wellbeing.looks_today(by.user),
        "may_decide": may_decide,
        "may_look": can(by, "see media"),
        "reasons": reasons.REASONS,
    }


def _slice(parts: Sequence[ReviewCaseQuerySet], start: int, count: int) -> list[ReviewCase]:
    """Return ``count`` cases from ``start`` on of all parts, one part after another."""
    rows: list[ReviewCase] = []
    for part in parts:
        if len(rows) == count:
            break
        rows += presenters.with_matches(part)[start : start + count - len(rows)]
        start = 0 if rows else start - part.order_by().count()
    return rows


def _fields(filters: Filters) -> list[dict[str, Any]]:
    lists = BannedList.objects.filter(kind=BannedList.Kind.BANNED).order_by("name")
    choices: list[tuple[str, str, Sequence[tuple[Any, Any]]]] = [
        (
            "list",
            gettext("List"),
            [(str(pk), name) for pk, name in lists.values_list("pk", "name")],
        ),
        ("match_type", gettext("Match type"), [(name, name) for name in MATCH_TYPES]),
        ("band", gettext("Distance"), [(name, band[0]) for name, band in queue.BANDS.items()]),
        ("age", gettext("Age"), [(name, age[0]) for name, age in queue.AGES.items()]),
        (
            "assignee",
            gettext("Locked by"),
            [(queue.ME, gettext("me")), (queue.NOBODY, gettext("nobody"))],
        ),
        ("status", gettext("Status"), [*CaseState.choices, (queue.DECIDED, word(queue.DECIDED))]),
        ("origin", gettext("Found by"), ReviewCase.Origin.choices),
    ]
    return [
        {"name": name, "label": label, "choices": pairs, "chosen": getattr(filters, name)}
        for name, label, pairs in choices
    ]


def _lookers(cases: list[ReviewCase], by: Actor) -> dict[int, list[str]]:
    since = timezone.now() - locks.PRESENCE_TIMEOUT
    views = CaseView.objects.filter(case__in=cases, seen_at__gte=since).exclude(user=by.user)
    found: dict[int, list[str]] = {}
    for case, name in views.order_by("user__username").values_list("case", "user__username"):
        found.setdefault(case, []).append(name)
    return found


def _page_number(text: str) -> int:
    return min(max(whole_number(text, 4) or 1, 1), MAX_PAGE)
