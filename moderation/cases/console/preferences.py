"""The page of a person's own settings, and of how much media they saw."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from gallery.shared.errors import UserError
from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor
from moderation.cases import wellbeing
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import Exposure, ReviewPreference

DAYS = 14


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("see media")
def preferences(request: HttpRequest, by: Actor) -> HttpResponseBase:
    problem = ""
    if request.method == "POST":
        try:
            break_after = whole_number(request.POST.get("break_after", ""))
            wellbeing.set_preference(
                by=by,
                first_filter=request.POST.get("first_filter", ""),
                break_after=-1 if break_after is None else break_after,
            )
        except UserError as error:
            problem = error.message
        else:
            messages.success(request, gettext("Saved."))
            return redirect("console:preferences")
    preferred = wellbeing.preference(by.user)
    context = {
        "preferred": preferred,
        "choices": ReviewPreference.Filter.choices,
        "seen": wellbeing.looks_today(by.user, preferred),
        "days": Exposure.objects.filter(user=by.user).order_by("-day")[:DAYS],
        "problem": problem,
    }
    return render_page(
        request, "moderation/cases/preferences.html", gettext("How media is shown to you"), context
    )
