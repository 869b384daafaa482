"""The page of golden cases: which there are, how often one comes, and how far answers agree."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from gallery.shared.errors import UserError
from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor
from moderation.cases import golden
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import GoldenCase


@require_http_methods(["GET", "HEAD", "POST"])
@console_page(golden.ACTION)
def golden_cases(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """``do``: ``share`` (with ``per_hundred``), ``add`` or ``remove`` (with ``case``)."""
    if request.method == "POST":
        try:
            messages.success(request, _done(request, by))
        except UserError as error:
            messages.error(request, error.message)
        return redirect("console:golden")
    rows = GoldenCase.objects.select_related("case", "added_by").order_by("-created_at")
    context = {
        "per_hundred": golden.share(),
        "rows": rows.annotate(answers=Count("case__golden_answers")),
        "people": golden.agreement(by=by),
    }
    return render_page(request, "moderation/cases/golden.html", gettext("Golden cases"), context)


def _done(request: HttpRequest, by: Actor) -> str:
    """Do what the form asks for. Return it in words."""
    form, case_id = request.POST, whole_number(request.POST.get("case", "")) or 0
    match form.get("do"):
        case "share":
            wanted = whole_number(form.get("per_hundred", ""), 3)
            golden.set_share(by=by, per_hundred=-1 if wanted is None else wanted)
            done = gettext("Of a hundred cases that a person is shown, %(wanted)s are golden.")
            return done % {"wanted": wanted}
        case "add":
            golden.add(by=by, case_id=case_id)
            return gettext("Case %(number)s is a golden case.") % {"number": case_id}
        case "remove":
            golden.remove(by=by, case_id=case_id)
            return gettext("Case %(number)s is no golden case any more.") % {"number": case_id}
    raise UserError(gettext("Choose what to do."), field="do")
