"""The page of second opinions: review cases that others decided, without seeing the decision."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from gallery.shared.errors import UserError
from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor
from moderation.cases import media, quality, wellbeing
from moderation.cases.console import presenters
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import ReviewPreference

STEPS: Final = ReviewPreference.Filter.choices


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("decide cases")
def second_opinions(request: HttpRequest, by: Actor) -> HttpResponseBase:
    if request.method == "POST":
        number = request.POST.get("case", "")
        try:
            quality.give_opinion(
                by=by,
                case_id=whole_number(number) or 0,
                verb=request.POST.get("verb", ""),
                looked=request.POST.get("looked") == "1",
            )
        except UserError as error:
            messages.error(request, error.message)
        else:
            messages.success(
                request,
                gettext(
                    "Your opinion on case %(number)s is recorded. The case itself has not changed."
                )
                % {"number": number},
            )
        return redirect("console:second-opinions")
    cases = quality.waiting_for_review(by)
    case = presenters.with_matches(cases).first()
    first = wellbeing.preference(by.user).first_filter
    context = {
        "case": case,
        "left": cases.count(),
        "first_filter": first,
        "steps": STEPS,
        "kept": case is not None and media.has_media(case),
        "matches": list(case.matches.all()) if case else [],
        "picture": next((m for m in case.matches.all() if m.item and m.item.picture), None)
        if case
        else None,
    }
    title = gettext("Second opinions")
    return render_page(request, "moderation/cases/second_opinions.html", title, context)
