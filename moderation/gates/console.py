"""The page of gates: what each of them answers, and what a failure means."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from moderation.access.permissions import Actor
from moderation.cases.console.pages import console_page, render_page
from moderation.gates import policies


@require_safe
@console_page("view lists")
def gates_page(request: HttpRequest, by: Actor) -> HttpResponseBase:
    context = {"gates": policies.every()}
    return render_page(request, "moderation/gates/gates.html", gettext("Gates"), context)
