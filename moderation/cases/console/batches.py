"""Pages of the console: a batch of decisions, and undoing batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from gallery.admin.selection import CHANGED, Selection
from gallery.shared.errors import NotFound, UserError
from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor
from moderation.access.words import word
from moderation.cases import permissions, reasons, undoing
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import DecisionBatch

ROWS_SHOWN: Final = 50
MAX_BATCHES: Final = 100


@require_safe
@console_page("view cases")
def batch_page(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    batch = DecisionBatch.objects.select_related("by", "undone_by").filter(pk=pk).first()
    if batch is None:
        raise NotFound(gettext("There is no batch %(number)s.") % {"number": pk})
    rows = batch.decisions.select_related("case", "by").order_by("pk")
    verb = rows.values_list("verb", flat=True).first() or ""
    states = rows.order_by().values_list("state_before", "state_after").annotate(Count("pk"))
    context = {
        "batch": batch,
        "verb": verb,
        "why": reasons.in_words(verb, batch.reason),
        "count": rows.count(),
        "states": sorted(states),
        "decisions": [
            {"decision": one, "hidden": permissions.is_blinded(one, one.case, by)}
            for one in rows[:ROWS_SHOWN]
        ],
        "hidden": any(permissions.is_blinded(one, one.case, by) for one in rows[:ROWS_SHOWN]),
        "more": max(0, rows.count() - ROWS_SHOWN),
        "undo": undo_address([pk]) if undoing.is_undoable(batch, by) else "",
    }
    title = gettext("Batch %(number)s") % {"number": pk}
    return render_page(request, "moderation/cases/batch.html", title, context)


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("decide cases")
def undo_page(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """Show what undoing ``?batches=`` (ids with commas) would do. A POST from this page does it."""
    ids = numbers(request.GET.get("batches", ""))[:MAX_BATCHES]
    plan = undoing.plan(by=by, batch_ids=ids)
    rows = DecisionBatch.objects.filter(pk__in=ids)
    selection = Selection(request, "undo", rows, ["undone_at"])
    selection.says([[one.pk for one in plan.to_undo], plan.left, plan.refused, plan.stay])
    if request.method == "POST":
        return _undo(request, by, plan, is_confirmed=selection.is_confirmed)
    batches = {one.batch_id for one in plan.to_undo}
    by_state = Counter((one.state_after, one.state_before) for one in plan.to_undo)
    context = {
        "token": selection.token,
        "ids": ids,
        "batches": len(batches),
        "count": len(plan.to_undo),
        "states": sorted((*states, number) for states, number in by_state.items()),
        "decisions": plan.to_undo[:ROWS_SHOWN],
        "more": max(0, len(plan.to_undo) - ROWS_SHOWN),
        "left": [(case, why) for case, why in plan.left.items()][:ROWS_SHOWN],
        "left_count": len(plan.left),
        "left_more": max(0, len(plan.left) - ROWS_SHOWN),
        "refused": sorted(plan.refused.items()),
        "stay": [f"{word(kind)} {pk}" for kind, pk in plan.stay[:ROWS_SHOWN]]
        + ["…"] * (len(plan.stay) > ROWS_SHOWN),
        "stay_count": len(plan.stay),
        "back": _back(ids),
    }
    return render_page(request, "moderation/cases/undo.html", gettext("Undo decisions"), context)


def undo_address(batch_ids: Iterable[int]) -> str:
    return f"{reverse('console:undo')}?batches={','.join(map(str, batch_ids))}"


def numbers(text: str) -> list[int]:
    """Parse ids separated by commas. Other words are ignored."""
    return [number for number in map(whole_number, text.split(",")) if number is not None]


def _undo(
    request: HttpRequest, by: Actor, plan: undoing.UndoPlan, *, is_confirmed: bool
) -> HttpResponse:
    ids = sorted({one.batch_id for one in plan.to_undo})
    if not is_confirmed:
        messages.warning(request, CHANGED)
        return redirect(request.get_full_path())
    try:
        reason = request.POST.get("reason", "").strip()[:500]
        done = undoing.undo_batches(by=by, batch_ids=ids, reason=reason)
    except UserError as error:
        messages.error(request, error.message)
        return redirect(request.get_full_path())
    for one in done:
        messages.success(request, undoing.in_words(one))
    return redirect(_back(ids))


def _back(ids: Sequence[int]) -> str:
    if len(ids) == 1:
        return reverse("console:batch", args=ids)
    return reverse("admin:moderation_decisionbatch_changelist")
