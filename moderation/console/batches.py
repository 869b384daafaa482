"""A batch of decisions: what it changed, and taking it back."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from gallery.errors import NotFound, UserError
from moderation import queue, reasons
from moderation.console.access import console_page, page
from moderation.models import DecisionBatch
from moderation.permissions import Actor, can
from moderation.services import undo

SHOWN: Final = 50


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("view cases")
def batch_page(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """One batch; POST undoes it."""
    if request.method == "POST":
        try:
            done = undo.undo_batch(
                by=by, batch_id=pk, reason=request.POST.get("reason", "").strip()
            )
        except UserError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, undo.words(done))
        return redirect("console:batch", pk=pk)
    batch = DecisionBatch.objects.select_related("by", "undone_by").filter(pk=pk).first()
    if batch is None:
        raise NotFound(f"There is no batch {pk}.")
    rows = batch.decisions.select_related("case", "by").order_by("pk")
    verb = rows.values_list("verb", flat=True).first() or ""
    states = rows.order_by().values_list("state_before", "state_after").annotate(Count("pk"))
    own = batch.by_id == by.user.pk
    may = can(by, "decide cases" if own else "undo the decisions of others")
    context = {
        "batch": batch,
        "verb": verb,
        "why": reasons.words(verb, batch.reason),
        "count": rows.count(),
        "states": sorted(states),
        "decisions": [
            {"decision": one, "hidden": queue.is_blinded(one, one.case, by)} for one in rows[:SHOWN]
        ],
        "hidden": any(queue.is_blinded(one, one.case, by) for one in rows[:SHOWN]),
        "more": max(0, rows.count() - SHOWN),
        "may_undo": may and batch.undone_at is None,
    }
    return page(request, "batch", f"Batch {pk}", context)
