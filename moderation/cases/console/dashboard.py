"""The dashboard of moderation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from moderation.access.permissions import Actor, can
from moderation.cases import intervals, quality, statistics
from moderation.cases.console.pages import console_page, render_page


@require_safe
@console_page("view cases")
def dashboard_page(
    request: HttpRequest,
    by: Actor,
    queues: Callable[[], Sequence[Any]],
    last_drill: Callable[[], Any],
) -> HttpResponseBase:
    """``queues``: the background clusters with their numbers of waiting tasks. ``last_drill``: the
    last one that ended, or None."""
    found = statistics.overview(by=by)
    highest = max([day.total for day in found.days], default=0) or 1
    context = {
        "found": found,
        "queues": queues(),
        "drill": last_drill(),
        "waiting": sum(age.total for age in found.queue),
        "most": max([age.total for age in found.queue], default=0) or 1,
        "highest": highest,
        "bars": [(day, 100 * day.total / highest) for day in found.days],
        "for_me": quality.waiting_for_review(by).count() if can(by, "decide cases") else 0,
        "may_export": can(by, "view the audit"),
        "least": intervals.MIN_DECIDED,
        "days": statistics.DAYS,
    }
    return render_page(request, "moderation/cases/dashboard.html", gettext("Moderation"), context)
