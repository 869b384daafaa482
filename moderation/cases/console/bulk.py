"""Decide many cases at once: one page shows what would happen, then one batch does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from gallery.admin.selection import CHANGED, FIELD, Selection
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.access.words import word
from moderation.cases import deciding, media_access, permissions, queue, reasons, wellbeing
from moderation.cases.console import presenters
from moderation.cases.console.batches import numbers
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import MAX_SELECTED, DecisionBatch, ReviewCase
from moderation.cases.queue import Filters
from moderation.cases.states import CaseState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


PICTURES_SHOWN: Final = 24
OUTCOMES: Final[Mapping[str, _StrPromise]] = {
    CaseState.VOTED: _("waiting for a second person"),
    CaseState.CONFLICT: _("waiting for a lead, as two people disagree"),
}
"""Of states whose names do not say it."""
HEADINGS: Final[Mapping[str, tuple[_StrPromise, _StrPromise]]] = {
    "confirm": (
        ngettext_lazy("Confirm %(count)s case", "Confirm %(count)s cases", "count"),
        ngettext_lazy("Confirm %(count)s case?", "Confirm %(count)s cases?", "count"),
    ),
    "dismiss": (
        ngettext_lazy("Dismiss %(count)s case", "Dismiss %(count)s cases", "count"),
        ngettext_lazy("Dismiss %(count)s case?", "Dismiss %(count)s cases?", "count"),
    ),
    "escalate": (
        ngettext_lazy("Escalate %(count)s case", "Escalate %(count)s cases", "count"),
        ngettext_lazy("Escalate %(count)s case?", "Escalate %(count)s cases?", "count"),
    ),
    "appeal": (
        ngettext_lazy("Appeal %(count)s case", "Appeal %(count)s cases", "count"),
        ngettext_lazy("Appeal %(count)s case?", "Appeal %(count)s cases?", "count"),
    ),
}
"""Verb → the button, and the title of the page that asks."""
NOTHING_TO: Final[Mapping[str, _StrPromise]] = {
    "confirm": _("Nothing to confirm: %(why)s"),
    "dismiss": _("Nothing to dismiss: %(why)s"),
    "escalate": _("Nothing to escalate: %(why)s"),
    "appeal": _("Nothing to appeal: %(why)s"),
}


@require_POST
@console_page("decide cases")
def bulk(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """Apply ``verb`` to ``cases`` (ids with commas), or with ``all`` to the filtered cases.

    The first request only shows what would be decided; the confirmed one decides.
    """
    form = request.POST
    verb, back = form.get("verb", ""), _back(request)
    if verb not in reasons.REASONS:
        raise UserError(gettext("Choose what to do: confirm, dismiss or escalate."), field="verb")
    chosen = numbers(form.get("cases", ""))
    if FIELD in form:
        if _selection(request, verb, chosen).is_confirmed:
            return _decide(request, by, chosen, verb, back)
        messages.warning(request, CHANGED)
    elif form.get("all") == "1":
        found = queue.cases(Filters.read(request.GET), by)
        chosen = list(found.values_list("pk", flat=True)[:MAX_SELECTED])
    elif form.get("clusters") == "1":
        chosen = _with_clusters(chosen)
    return confirmation(request, by, chosen, verb, back, Filters.read(request.GET))


def confirmation(
    request: HttpRequest,
    by: Actor,
    case_ids: Sequence[int],
    verb: str,
    back: str,
    filters: Filters = Filters(),  # noqa: B008  # frozen
) -> HttpResponse:
    """Show what would be decided, and which cases are left out and why.

    ``filters``: what the cases have in common.
    """
    wanted = ReviewCase.objects.filter(pk__in=list(case_ids)[:MAX_SELECTED])
    fit, refused = permissions.split_decidable(wanted, verb, by)
    if not fit:
        why = refused[0].why if refused else gettext("Choose some cases first.")
        messages.warning(request, NOTHING_TO[verb] % {"why": why})
        return HttpResponseRedirect(back)
    first = queue.in_order(ReviewCase.objects.filter(pk__in=[case.pk for case in fit]))
    button, title = (text % {"count": len(fit)} for text in HEADINGS[verb])
    clusters = len({case.cluster for case in fit})
    context: dict[str, Any] = {
        "verb": verb,
        "of": _of(filters),
        "query": filters.query,
        "button": button,
        "heading": _heading(button, clusters),
        "count": len(fit),
        "ids": ",".join(str(case.pk) for case in fit),
        "token": _selection(request, verb, [case.pk for case in fit]).token,
        "rows": [
            presenters.row(case, by) for case in presenters.with_matches(first)[:PICTURES_SHOWN]
        ],
        "more": max(0, len(fit) - PICTURES_SHOWN),
        "counts": _counts(fit),
        "left": Counter(refusal.why for refusal in refused).most_common(),
        "cut": len(case_ids) >= MAX_SELECTED,
        "reasons": reasons.REASONS[verb],
        "first_filter": media_access.first_filter(wellbeing.preference(by.user)),
        "back": back,
    }
    answer: TemplateResponse = render_page(request, "moderation/cases/bulk.html", title, context)
    return answer


def decide_as_sent(
    request: HttpRequest, by: Actor, case_ids: Sequence[int], verb: str
) -> DecisionBatch:
    form = request.POST
    return deciding.decide(
        by=by,
        case_ids=case_ids,
        verb=verb,
        reason=form.get("reason", ""),
        note=form.get("note", "").strip(),
        allow=form.get("allow") == "1",
        looked=wellbeing.looked_at(by, case_ids),
    )


def _of(filters: Filters) -> str:
    """Say whose cases they are, "" if the filters name nobody."""
    named = {"uploader": filters.uploader, "number": filters.item}
    if filters.uploader and filters.item:
        return gettext("the uploader %(uploader)s and item %(number)s") % named
    if filters.uploader:
        return gettext("the uploader %(uploader)s") % named
    return gettext("item %(number)s") % named if filters.item else ""


def _heading(button: str, clusters: int) -> str:
    return ngettext(
        "%(decide)s of %(count)s picture", "%(decide)s of %(count)s pictures", clusters
    ) % {"decide": button, "count": clusters}


def _selection(request: HttpRequest, verb: str, case_ids: Iterable[int]) -> Selection:
    cases = ReviewCase.objects.filter(pk__in=list(case_ids))
    return Selection(request, verb, cases, ["state", "held"])


def _decide(
    request: HttpRequest, by: Actor, chosen: Sequence[int], verb: str, back: str
) -> HttpResponse:
    try:
        batch = decide_as_sent(request, by, chosen, verb)
    except UserError as error:
        messages.error(request, gettext("Nothing was decided. %(why)s") % {"why": error.message})
        return HttpResponseRedirect(back)
    done = ngettext(
        "%(count)s case %(outcome)s, as batch %(batch)s.",
        "%(count)s cases %(outcome)s, as batch %(batch)s.",
        len(chosen),
    ) % {"count": len(chosen), "outcome": _outcome(batch), "batch": batch.pk}
    address = reverse("console:batch", args=[batch.pk])
    link = gettext("See or undo it")
    messages.success(request, format_html('{} <a href="{}">{}</a>', done, address, link))
    return HttpResponseRedirect(back)


def _outcome(batch: DecisionBatch) -> str:
    """Return the new states of the cases in words. After the first of two votes a case is not yet
    decided."""
    after = Counter(batch.decisions.order_by("pk").values_list("state_after", flat=True))
    words = {state: str(OUTCOMES.get(state) or word(state)) for state in after}
    if len(after) == 1:
        return next(iter(words.values()))
    each = ", ".join(f"{count} {words[state]}" for state, count in after.items())
    return gettext("decided (%(each)s)") % {"each": each}


def _with_clusters(chosen: Iterable[int]) -> list[int]:
    """Return the cases, and the undecided cases of their clusters in the same state."""
    heads = ReviewCase.objects.filter(pk__in=list(chosen))
    pairs = set(heads.values_list("cluster", "state"))
    clusters = {cluster for cluster, _ in pairs}
    others = ReviewCase.objects.open().filter(cluster__in=clusters).order_by("pk")
    found = [pk for pk, *pair in others.values_list("pk", "cluster", "state") if (*pair,) in pairs]
    return (found or list(heads.values_list("pk", flat=True)))[:MAX_SELECTED]


def _counts(cases: Iterable[ReviewCase]) -> list[tuple[str, int]]:
    cases = list(cases)
    states = Counter(str(case.get_state_display()).lower() for case in cases)
    severities = Counter(
        gettext("%(severity)s severity") % {"severity": word(presenters.severity(case))}
        for case in cases
    )
    return [*states.most_common(), *severities.most_common()]


def _back(request: HttpRequest) -> str:
    back = request.POST.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if back and is_ours else reverse("console:grid")
