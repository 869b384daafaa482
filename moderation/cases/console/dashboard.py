"""The page of numbers about moderation as a whole, second opinions, packets and exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from gallery.items.media_responses import is_foreign
from gallery.shared.errors import UserError
from gallery.shared.responses import download
from moderation.access.permissions import Actor, can
from moderation.cases import case_reports, intervals, media, overview, quality, wellbeing
from moderation.cases.console import presenters
from moderation.cases.console.access import console_page, page
from moderation.cases.models import Decision, ReviewPreference

STEPS: Final = ReviewPreference.Filter.choices


@require_safe
@console_page("view cases")
def dashboard_page(
    request: HttpRequest, by: Actor, queues: Callable[[], Sequence[Any]]
) -> HttpResponseBase:
    """``queues``: the background clusters with what waits in each."""
    found = overview.overview(by=by)
    highest = max([day.total for day in found.days], default=0) or 1
    context = {
        "found": found,
        "queues": queues(),
        "waiting": sum(age.total for age in found.queue),
        "most": max([age.total for age in found.queue], default=0) or 1,
        "highest": highest,
        "bars": [(day, 100 * day.total / highest) for day in found.days],
        "for_me": quality.waiting(by).count() if can(by, "decide cases") else 0,
        "may_export": can(by, "view the audit"),
        "least": intervals.MIN_DECIDED,
        "days": overview.DAYS,
    }
    return page(request, "dashboard", "Moderation", context)


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("decide cases")
def second_opinions(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """The next decided case to judge again, without what was said; POST says it."""
    if request.method == "POST":
        number = request.POST.get("case", "")
        try:
            quality.give_opinion(
                by=by,
                case_id=int(number) if number.isascii() and number.isdigit() else 0,
                verb=request.POST.get("verb", ""),
                looked=request.POST.get("looked") == "1",
            )
        except UserError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"Noted for case {number}. Nothing has changed by it.")
        return redirect("console:second-opinions")
    cases = quality.waiting(by)
    case = presenters.with_matches(cases).first()
    first = wellbeing.preference(by.user).first_filter
    context = {
        "case": case,
        "left": cases.count(),
        "first_filter": first,
        "steps": STEPS,
        "kept": case is not None and media.kept(case),
        "matches": list(case.matches.all()) if case else [],
        "picture": next((m for m in case.matches.all() if m.item and m.item.picture), None)
        if case
        else None,
    }
    return page(request, "second_opinions", "Second opinions", context)


@require_safe
@console_page("view the audit")
def packet(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """The report packet of a case; with ``media=1`` the files too, for those who may.

    Each file is a clear look, so no page of another site can ask for them.
    """
    media = request.GET.get("media") == "1" and not is_foreign(request)
    body = case_reports.build(by=by, case_id=pk, media=media)
    return download(f"case-{pk}.zip", body, "application/zip")


@require_safe
@console_page("view the audit")
def decisions_csv(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """Every decision."""
    lines = case_reports.decisions_csv(by=by, decisions=Decision.objects.all())
    name = f"decisions-{timezone.now():%Y%m%d-%H%M%S}.csv"
    return download(name, lines)
