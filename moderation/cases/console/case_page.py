"""The page of one case: look, decide, go on to the next case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from gallery.shared.errors import NotFound
from moderation.access.permissions import Actor
from moderation.access.words import word
from moderation.cases import deciding, golden, locks, pace, permissions, queue, undoing, wellbeing
from moderation.cases.console import presenters
from moderation.cases.console.batches import undo_address
from moderation.cases.console.bulk import decide_as_sent
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import MAX_SELECTED, DecisionBatch, GoldenAnswer, ReviewCase
from moderation.cases.queue import Filters

SKIPPED: Final = "skipped cases"
"""The session key of skipped cases. They come last."""
LEFT_AT: Final = "case that was left"
"""The session key of the case that the person goes on with."""
GOLDEN: Final = "golden case that is shown"
"""The session key of its id, and of the time at which it seems to have been opened."""
MOST_SKIPPED: Final = 100
TAKEN_BACK: Final = "taken back at once"
"""The audit's reason if a keyboard shortcut undid a decision."""


@require_safe
@console_page("see media")
def case_page(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Show a case. This locks it, unless another person is working on it."""
    locks.report_presence(by=by, case_id=pk)
    context = _context(request, by, pk, Filters.read(request.GET))
    return render_page(request, "moderation/cases/case.html", _title(context), context)


@require_POST
@console_page("decide cases")
def next_case(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """Lock the case where the person left off, or else the first, and redirect to it. Skipped cases
    come last. Redirect to the queue if there is none."""
    filters = Filters.read(request.GET)
    if shown := _golden(request, by):
        return redirect(address(shown.pk, filters))
    left_at = request.session.get(LEFT_AT)
    case = locks.lock_next(
        by=by, filters=filters, skipped=request.session.get(SKIPPED, []), first=left_at
    )
    return redirect(address(case.pk if case else None, filters))


@require_POST
@console_page("decide cases")
def skip(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Unlock the case and return another one. It comes again when no other case is left."""
    locks.unlock(by=by, case_id=pk)
    request.session.pop(GOLDEN, None)
    others = [one for one in request.session.get(SKIPPED, []) if one != pk]
    request.session[SKIPPED] = [*others, pk][-MOST_SKIPPED:]
    message = gettext("Case %(number)s skipped.") % {"number": pk}
    return _next(request, by, {"message": message}, but=pk)


@require_POST
@console_page("decide cases")
def decide(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Decide a case, and its cluster if ``cluster`` is sent. Return the next case."""
    verb = request.POST.get("verb", "")
    if _golden(request, by, pk):
        looked = pk in wellbeing.looked_at(by, [pk])
        golden.answer(by=by, case_id=pk, verb=verb, looked=looked)
        request.session.pop(GOLDEN, None)
        return _next(request, by, {"message": _outcome(pk, deciding.STATE_AFTER[verb])})
    ids = _ids(by, pk, verb, cluster=request.POST.get("cluster") == "1")
    decide_as_sent(request, by, ids, verb)
    state = ReviewCase.objects.values_list("state", flat=True).get(pk=pk)
    return _next(request, by, {"message": _outcome(pk, state, len(ids) - 1)})


def _outcome(pk: int, state: str, others: int = 0) -> str:
    """``others``: cases of the same picture that were decided with it."""
    words = {"number": pk, "others": others, "state": word(state)}
    if not others:
        return gettext("Case %(number)s: %(state)s.") % words
    return gettext("Case %(number)s and %(others)s more of the same picture: %(state)s.") % words


@require_POST
@console_page("see media")
def presence(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Renew the lock and return who is there. An open page calls this every 15 s."""
    if request.POST.get("take_over") == "1":
        locks.lock(by=by, case_id=pk, take_over=True)
    there = locks.report_presence(by=by, case_id=pk)
    return JsonResponse({"holder": there.holder, "mine": there.mine, "others": list(there.others)})


@require_POST
@console_page("decide cases")
def release(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Unlock the case: its page is left, and the person goes on there when they come back."""
    locks.unlock(by=by, case_id=pk)
    request.session[LEFT_AT] = pk
    return HttpResponse(status=204)


@require_POST
@console_page("decide cases")
def undo_last(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """Undo the caller's newest batch, and return its first case.

    If the batch is about several pictures, return the URL of the page that asks before undoing.
    """
    batch = DecisionBatch.objects.filter(by=by.user, undone_at=None).first()
    answered = golden.last_answer(by)
    if answered and (batch is None or batch.created_at < answered.created_at):
        return _take_back(request, by, answered)
    if batch is None:
        raise NotFound(gettext("There is no decision of yours to undo."))
    if batch.decisions.order_by().values("case__cluster").distinct().count() > 1:
        return JsonResponse({"ask": undo_address([batch.pk])})
    done = undoing.undo_batch(by=by, batch_id=batch.pk, reason=TAKEN_BACK)
    filters = Filters.read(request.GET)
    pk = done.undone[0]
    locks.report_presence(by=by, case_id=pk)
    answer = {"message": undoing.in_words(done), "next": _fragment(request, by, pk, filters)}
    return JsonResponse(answer)


def _take_back(request: HttpRequest, by: Actor, answered: GoldenAnswer) -> JsonResponse:
    pk = golden.take_back(by=by, answer_id=answered.pk)
    request.session[GOLDEN] = [pk, timezone.now().isoformat()]
    fragment = _fragment(request, by, pk, Filters.read(request.GET))
    message = gettext("Case %(number)s is open again.") % {"number": pk}
    return JsonResponse({"message": message, "next": fragment})


def _golden(request: HttpRequest, by: Actor, pk: int | None = None) -> ReviewCase | None:
    """Return the golden case that the person is shown now, if there is one, and if it is ``pk``."""
    shown, _ = request.session.get(GOLDEN, [None, ""])
    if shown is None or pk not in (None, shown):
        return None
    return golden.offered(by).filter(pk=shown).first()


def address(pk: int | None, filters: Filters) -> str:
    path = reverse("console:queue") if pk is None else reverse("console:case", args=[pk])
    return f"{path}?{filters.query}" if filters.query else path


def _ids(by: Actor, pk: int, verb: str, *, cluster: bool) -> list[int]:
    case = ReviewCase.objects.existing(pk, "case")
    if not cluster or case.decided_at is not None:
        return [pk]
    others = (
        queue.siblings(case).exclude(pk=pk).filter(state=case.state).values_list("pk", flat=True)
    )
    alike = ReviewCase.objects.filter(pk__in=list(others[: MAX_SELECTED - 1]))
    fit, _ = permissions.split_decidable(alike, verb, by)
    return [pk, *(one.pk for one in fit)]


def _next(
    request: HttpRequest, by: Actor, answer: dict[str, Any], but: int | None = None
) -> JsonResponse:
    filters = Filters.read(request.GET)
    skipped = request.session.get(SKIPPED, [])
    case = locks.lock_next(by=by, filters=filters, skipped=skipped, but=but)
    if case is None:
        return JsonResponse({**answer, "next": None, "queue": address(None, filters)})
    # A golden case comes before the one that is locked now, and seems as old. It need not fit
    # filters, so it would stand out among those that do.
    shown = None if filters.query else golden.draw(by)
    if shown:
        request.session[GOLDEN] = [shown.pk, case.created_at.isoformat()]
    pk = shown.pk if shown else case.pk
    return JsonResponse({**answer, "next": _fragment(request, by, pk, filters)})


def _fragment(request: HttpRequest, by: Actor, pk: int, filters: Filters) -> dict[str, Any]:
    context = _context(request, by, pk, filters)
    html = render_to_string("moderation/cases/_case.html", context, request)
    return {"id": pk, "url": address(pk, filters), "title": _title(context), "html": html}


def _title(context: Mapping[str, Any]) -> str:
    """Say which case it is, for the tabs of a browser."""
    case, match = context["case"], context["match"]
    if match is None:
        return gettext("Case %(number)s") % {"number": case.pk}
    return gettext("Case %(number)s: %(list)s") % {"number": case.pk, "list": match.list_name}


def _context(request: HttpRequest, by: Actor, pk: int, filters: Filters) -> dict[str, Any]:
    case = presenters.with_matches(ReviewCase.objects.all()).existing(pk)
    is_golden = _golden(request, by, pk) is not None
    if is_golden:
        presenters.seem_open(case, by, datetime.fromisoformat(request.session[GOLDEN][1]))
    context = presenters.full(case, by, filters=filters)
    is_open = case.decided_at is None
    if is_golden:
        context |= presenters.OF_AN_OPEN_CASE
    return {
        **context,
        "break_due": _break_due(request, context["seen"]),
        "progress": pace.progress(by, filters) if is_open and context["may_decide"] else None,
    }


def _break_due(request: HttpRequest, seen: wellbeing.LooksToday) -> bool:
    reached = [timezone.localdate().isoformat(), seen.breaks]
    if not seen.breaks or request.session.get("breaks") == reached:
        return False
    request.session["breaks"] = reached
    return True
