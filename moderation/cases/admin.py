"""Admin pages of cases, matches and batches of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, F, Max, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, RadioFilter
from unfold.decorators import display

from gallery.admin.listing import AddedSinceFilter, DaysFilter, YesNoFilter
from gallery.items.kinds import kinds
from gallery.shared.readable import distance
from gallery.shared.times import day, when
from moderation.access.admin import RoleModelAdmin
from moderation.access.permissions import actor_of, can
from moderation.access.words import word
from moderation.cases import edits, reasons, retention
from moderation.cases.console import batches, bulk, presenters
from moderation.cases.console import legal_holds as holds
from moderation.cases.enforcement import subject_of
from moderation.cases.models import (
    MAX_SELECTED,
    THRESHOLD_MET,
    CaseMatch,
    DecisionBatch,
    ReviewCase,
    on_legal_hold,
)
from moderation.cases.states import CaseState

STATES = {
    CaseState.CONFIRMED.value: "danger",
    CaseState.DISMISSED.value: "success",
    CaseState.OPEN.value: "info",
    CaseState.VOTED.value: "warning",
    CaseState.CONFLICT.value: "warning",
    CaseState.ESCALATED.value: "warning",
    CaseState.APPEALED.value: "warning",
}
SEVERITIES = {"critical": "danger", "high": "danger", "medium": "warning", "low": "info"}


class CaseModelAdmin(RoleModelAdmin):
    """Base of the admin for rows that only services write."""

    view_action = "view cases"

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return can(actor_of(request), "decide cases")


class LegalHoldFilter(YesNoFilter):
    title = _("legal hold")
    parameter_name = "hold"

    @property
    def condition(self) -> Any:
        return on_legal_hold()


@admin.register(ReviewCase)
class ReviewCaseAdmin(CaseModelAdmin):
    list_display = [
        "number", "shown_state", "shown_severity", "origin", "why", "subject", "hold", "opened",
        "decided",
    ]  # fmt: skip
    list_filter = [
        ("state", ChoicesCheckboxFilter),
        ("severity", ChoicesCheckboxFilter),
        ("origin", ChoicesCheckboxFilter),
        LegalHoldFilter,
        AddedSinceFilter,
        ("created_at", DaysFilter),
    ]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = _("The id of a case, image or video; a data id or a sha256, whole.")
    actions = [
        "confirm_cases",
        "dismiss_cases",
        "escalate_cases",
        "set_legal_hold",
        "lift_legal_hold",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReviewCase]:
        cases: QuerySet[ReviewCase] = super().get_queryset(request)
        return cases.prefetch_related(
            Prefetch("matches", queryset=CaseMatch.objects.order_by("pk"))
        )

    def exact_search(self, term: str, number: int | None) -> Q:
        if number is not None:
            return Q(pk=number) | Q(image=number) | Q(video=number)
        return Q(cluster=term.lower()) | Q(image__data_id=term) | Q(video__data_id=term)

    def get_list_display_links(
        self, request: HttpRequest, list_display: Sequence[str]
    ) -> Sequence[str] | None:
        """The page of a case shows media."""
        return ["number"] if can(actor_of(request), "see media") else None

    @display(description=_("case"), ordering="pk")
    def number(self, case: ReviewCase) -> str:
        return gettext("Case %(number)s") % {"number": case.pk}

    @display(description=_("state"), label=STATES)
    def shown_state(self, case: ReviewCase) -> tuple[str, str]:
        return case.state, word(case.state)

    @display(description=_("severity"), label=SEVERITIES)
    def shown_severity(self, case: ReviewCase) -> tuple[str, str]:
        severity = presenters.severity(case)
        return severity, word(severity)

    @display(description=_("list and match"))
    def why(self, case: ReviewCase) -> str:
        match = presenters.nearest(case.matches.all())
        if match is None:
            return " ".join([gettext("Could not be checked."), *presenters.gaps_in_words(case)])
        found = gettext("%(list)s: %(match_type)s, %(distance)s of %(threshold)s.") % {
            "list": match.list_name,
            "match_type": match.match_type,
            **_measured(match),
        }
        return " ".join([found, *presenters.match_in_words(match), *presenters.gaps_in_words(case)])

    @display(description=_("subject"))
    def subject(self, case: ReviewCase) -> str:
        subject = subject_of(case)
        return gettext("checked bytes") if subject is None else _subject(*subject)

    @display(description=_("legal hold"))
    def hold(self, case: ReviewCase) -> str:
        if not case.is_on_legal_hold:
            return "–"
        if case.legal_hold_until is None:
            return gettext("yes")
        return gettext("until %(time)s") % {"time": day(case.legal_hold_until)}

    @display(description=_("opened"))
    def opened(self, case: ReviewCase) -> str:
        return when(case.created_at)

    @display(description=_("decided"))
    def decided(self, case: ReviewCase) -> str:
        return when(case.decided_at)

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Redirect to the case's page in the console."""
        return redirect("console:case", pk=int(object_id) if object_id.isdecimal() else 0)

    @admin.action(description=_("Confirm…"), permissions=["decide"])
    def confirm_cases(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> HttpResponse:
        return self._ask(request, queryset, "confirm")

    @admin.action(description=_("Dismiss…"), permissions=["decide"])
    def dismiss_cases(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> HttpResponse:
        return self._ask(request, queryset, "dismiss")

    @admin.action(description=_("Escalate…"), permissions=["decide"])
    def escalate_cases(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> HttpResponse:
        return self._ask(request, queryset, "escalate")

    @admin.action(description=_("Set a legal hold…"), permissions=["hold"])
    def set_legal_hold(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> Any:
        return holds.confirmation(request, actor_of(request), queryset, "set")

    @admin.action(description=_("Lift the legal hold…"), permissions=["hold"])
    def lift_legal_hold(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> Any:
        return holds.confirmation(request, actor_of(request), queryset, "lift")

    def has_hold_permission(self, request: HttpRequest) -> bool:
        return can(actor_of(request), retention.HOLD_ACTION)

    def _ask(self, request: HttpRequest, cases: QuerySet[ReviewCase], verb: str) -> HttpResponse:
        ids = list(cases.order_by("pk").values_list("pk", flat=True)[:MAX_SELECTED])
        back = request.get_full_path()
        return bulk.confirmation(request, actor_of(request), ids, verb, back)


@admin.register(DecisionBatch)
class DecisionBatchAdmin(CaseModelAdmin):
    list_display = ["number", "by", "what", "cases", "why", "made", "undone"]
    list_filter = ["by", AddedSinceFilter, ("created_at", DaysFilter)]
    list_select_related = ["by", "undone_by"]
    sortable_by = ["number"]
    actions = ["undo_batches"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DecisionBatch]:
        batches: QuerySet[DecisionBatch] = super().get_queryset(request)
        return batches.annotate(verb=Max("decisions__verb"), size=Count("decisions"))

    @display(description=_("batch"), ordering="pk")
    def number(self, batch: DecisionBatch) -> str:
        return gettext("Batch %(number)s") % {"number": batch.pk}

    @display(description=_("decision"))
    def what(self, batch: DecisionBatch) -> str:
        return word(batch.verb or "–")  # type: ignore[attr-defined]

    @display(description=_("cases"))
    def cases(self, batch: DecisionBatch) -> int:
        return batch.size  # type: ignore[attr-defined, no-any-return]

    @display(description=_("reason"))
    def why(self, batch: DecisionBatch) -> str:
        verb = batch.verb or ""  # type: ignore[attr-defined]
        return ": ".join(filter(None, (reasons.in_words(verb, batch.reason), batch.note)))

    @display(description=_("made"))
    def made(self, batch: DecisionBatch) -> str:
        return when(batch.created_at)

    @display(description=_("undone"))
    def undone(self, batch: DecisionBatch) -> str:
        if batch.undone_at is None:
            return "–"
        return format_html(
            gettext("{when} by {person}"), when=when(batch.undone_at), person=batch.undone_by
        )

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Redirect to the batch's page in the console."""
        return redirect("console:batch", pk=int(object_id) if object_id.isdecimal() else 0)

    @admin.action(description=_("Undo…"), permissions=["decide"])
    def undo_batches(self, request: HttpRequest, queryset: QuerySet[DecisionBatch]) -> HttpResponse:
        ids = queryset.order_by("-pk").values_list("pk", flat=True)[: batches.MAX_BATCHES]
        return redirect(batches.undo_address(ids))


VERDICTS = {"block": "danger", "review": "warning", "allow": "success"}


class DistanceFilter(RadioFilter):
    title = _("distance")
    parameter_name = "near"
    BANDS = {
        "same": (_("identical (0)"), Q(distance=0)),
        "near": (_("within half the threshold"), Q(distance__lte=F("threshold") / 2.0)),
        "within": (_("within the threshold"), THRESHOLD_MET),
        "beyond": (_("beyond the threshold"), ~THRESHOLD_MET),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, str(band[0])) for name, band in self.BANDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CaseMatch]) -> QuerySet[CaseMatch]:
        band = self.BANDS.get(self.value() or "")
        return queryset if band is None else queryset.filter(band[1])


class CaseFilter(RadioFilter):
    title = _("case")
    parameter_name = "case"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("1", gettext("opened one")), ("0", gettext("only recorded"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CaseMatch]) -> QuerySet[CaseMatch]:
        if self.value() not in ("0", "1"):
            return queryset
        return queryset.filter(case__isnull=self.value() == "0")


@admin.register(CaseMatch)
class CaseMatchAdmin(RoleModelAdmin):
    view_action = "view cases"
    list_display = [
        "number",
        "listed",
        "measured",
        "shown_verdict",
        "subject",
        "of_item",
        "in_case",
        "found",
    ]
    list_display_links = ["number"]
    list_filter = [
        "list",
        ("match_type", ChoicesCheckboxFilter),
        ("verdict", ChoicesCheckboxFilter),
        DistanceFilter,
        CaseFilter,
        AddedSinceFilter,
        ("created_at", DaysFilter),
    ]
    list_select_related = ["list"]
    ordering = ["-id"]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = _("An image's, video's or item's id, or a sha256, whole.")

    actions = ["show_items"]
    readonly_fields = ["shown_edit"]

    def get_fields(self, request: HttpRequest, obj: CaseMatch | None = None) -> Sequence[Any]:
        shown = [name for name in super().get_fields(request, obj) if name != "shown_edit"]
        return ["shown_edit" if name == "edit" else name for name in shown]

    @display(description=pgettext_lazy("name", "edit"))
    def shown_edit(self, match: CaseMatch) -> str:
        return edits.in_words(match.edit) if match.edit else "–"

    @admin.action(description=_("Their items, to change these…"), permissions=["view"])
    def show_items(
        self, request: HttpRequest, queryset: QuerySet[CaseMatch]
    ) -> HttpResponse | None:
        """Lead to the list of items, which has the actions on them."""
        found = queryset.exclude(item=None).order_by("item").values_list("item", flat=True)
        ids = list(found.distinct()[:MAX_SELECTED])
        if not ids:
            messages.warning(request, gettext("The items of these matches were deleted."))
            return None
        address = reverse("admin:moderation_banneditem_changelist")
        return redirect(f"{address}?id__in={','.join(map(str, ids))}")

    def exact_search(self, term: str, number: int | None) -> Q:
        if number is not None:
            return Q(image=number) | Q(video=number) | Q(item=number)
        return Q(sha256=term.lower())

    @display(description=_("match"), ordering="pk")
    def number(self, match: CaseMatch) -> int:
        return match.pk

    @display(description=_("list and version"), header=True)
    def listed(self, match: CaseMatch) -> Sequence[str]:
        return match.list_name, gettext("version %(number)s") % {"number": match.list_version}

    @display(description=_("match type and distance"), header=True)
    def measured(self, match: CaseMatch) -> Sequence[str]:
        measured = gettext("%(distance)s of %(threshold)s") % _measured(match)
        how = presenters.match_in_words(match)
        return match.match_type, " ".join([measured + gettext("."), *how]) if how else measured

    @display(description=_("verdict"), label=VERDICTS)
    def shown_verdict(self, match: CaseMatch) -> tuple[str, str]:
        return match.verdict, word(match.verdict)

    @display(description=_("subject"))
    def subject(self, match: CaseMatch) -> str:
        subject = subject_of(match)
        if subject is None:
            return gettext("deleted")
        text = _subject(*subject)
        if match.time_ms is not None:
            text = gettext("%(subject)s at %(seconds)s s") % {
                "subject": text,
                "seconds": f"{match.time_ms / 1000:.1f}",
            }
        address = kinds()[subject[0]].admin_url("change", subject[1])
        return format_html('<a href="{}">{}</a>', address, text)

    @display(description=_("item"))
    def of_item(self, match: CaseMatch) -> str:
        if match.item_id is None:
            return gettext("deleted")
        text = gettext("item %(number)s") % {"number": match.item_id}
        return _link("moderation_banneditem", match.item_id, text)

    @display(description=_("case"))
    def in_case(self, match: CaseMatch) -> str:
        if match.case_id is None:
            return "–"
        return gettext("case %(number)s") % {"number": match.case_id}

    @display(description=_("found"))
    def found(self, match: CaseMatch) -> str:
        return when(match.created_at)


def _measured(match: CaseMatch) -> dict[str, str]:
    return {"distance": distance(match.distance), "threshold": distance(match.threshold)}


def _subject(kind: str, pk: int) -> str:
    return f"{word(kind)} {pk}"


def _link(page: str, pk: int, text: str) -> str:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), text)
