"""Set and lift legal holds: on a case's page, or for many cases of the admin's list."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from gallery.admin.selection import CHANGED, Selection
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.cases import retention
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import MAX_SELECTED, ReviewCase

CASES_SHOWN: Final = 24


class LiftForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=2000)


class HoldForm(LiftForm):
    """``until``: the last day of the hold. It ends at the end of that day, UTC."""

    until = forms.DateField(label=_("Until"), required=False)

    def clean_until(self) -> datetime | None:
        day = self.cleaned_data["until"]
        return None if day is None else timezone.make_aware(datetime.combine(day, time.max))


FORMS: Final[dict[str, type[LiftForm]]] = {"set": HoldForm, "lift": LiftForm}


@require_POST
@console_page(retention.HOLD_ACTION)
def case_hold(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    do = request.POST.get("do", "")
    form = FORMS.get(do, LiftForm)(request.POST)
    if do not in FORMS or not form.is_valid():
        messages.error(
            request,
            gettext("Nothing was changed: give a reason, and a day or nothing as the end."),
        )
    else:
        _carry_out(request, by, do, [pk], form.cleaned_data)
    return redirect("console:case", pk=pk)


def confirmation(
    request: HttpRequest, by: Actor, cases: QuerySet[ReviewCase], do: str
) -> HttpResponseBase | None:
    """Ask before setting or lifting the holds of many cases. If confirmed, do it."""
    selection = Selection(request, do, cases, ["state", "legal_hold", "legal_hold_until"])
    count = len(selection.ids)
    if count > MAX_SELECTED:
        messages.warning(
            request,
            gettext("Nothing was changed: select at most %(most)s at once.")
            % {"most": f"{MAX_SELECTED:,}"},
        )
        return None
    form = FORMS[do](request.POST if selection.is_asked else None)
    if selection.is_asked and not selection.is_confirmed:
        messages.warning(request, CHANGED)
    elif selection.is_asked and form.is_valid():
        _carry_out(request, by, do, selection.ids, form.cleaned_data)
        return HttpResponseRedirect(request.get_full_path())
    shown = ReviewCase.objects.filter(pk__in=selection.ids).order_by("pk")
    context: dict[str, Any] = {
        "do": do,
        "form": form,
        "count": count,
        "token": selection.token,
        "cases": shown[:CASES_SHOWN],
        "more": max(0, count - CASES_SHOWN),
        "action": request.POST.get("action", ""),
        "selected": request.POST.getlist("_selected_action"),
        "select_across": request.POST.get("select_across") == "1",
        "back": request.get_full_path(),
    }
    if do == "set":
        title = ngettext(
            "Put %(count)s case under a legal hold?",
            "Put %(count)s cases under a legal hold?",
            count,
        )
    else:
        title = ngettext(
            "Lift the hold of %(count)s case?", "Lift the hold of %(count)s cases?", count
        )
    title %= {"count": count}
    answer: HttpResponseBase = render_page(
        request, "moderation/cases/legal_hold.html", title, context
    )
    return answer


def _carry_out(
    request: HttpRequest, by: Actor, do: str, ids: list[int], given: dict[str, Any]
) -> None:
    run = retention.set_hold if do == "set" else retention.lift_hold
    try:
        count = run(by=by, case_ids=ids, **given)
    except UserError as error:
        messages.error(request, error.message)
        return
    if do == "set":
        done = ngettext(
            "%(count)s case under a legal hold.", "%(count)s cases under a legal hold.", count
        )
    else:
        done = ngettext(
            "%(count)s case no longer under a legal hold.",
            "%(count)s cases no longer under a legal hold.",
            count,
        )
    messages.success(request, done % {"count": count})
