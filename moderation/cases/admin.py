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
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, RadioFilter
from unfold.decorators import display

from gallery.admin.listing import AddedSinceFilter, DaysFilter, YesNoFilter
from gallery.items.kinds import kinds
from gallery.shared.readable import distance
from gallery.shared.times import when
from moderation.access.admin import RoleModelAdmin
from moderation.access.permissions import actor_of, can
from moderation.cases import reasons, retention
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
    title = "legal hold"
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
    search_help_text = "The id of a case, image or video; a data id or a sha256, whole."
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

    @display(description="case", ordering="pk")
    def number(self, case: ReviewCase) -> str:
        return f"Case {case.pk}"

    @display(description="state", label=STATES)
    def shown_state(self, case: ReviewCase) -> str:
        return case.state

    @display(description="severity", label=SEVERITIES)
    def shown_severity(self, case: ReviewCase) -> str:
        return presenters.severity(case)

    @display(description="list and match")
    def why(self, case: ReviewCase) -> str:
        match = presenters.nearest(case.matches.all())
        if match is None:
            return " ".join(["Could not be checked.", *presenters.gaps_in_words(case)])
        measured = f"{distance(match.distance)} of {distance(match.threshold)}"
        found = f"{match.list_name}: {match.match_type}, {measured}"
        return " ".join(
            [f"{found}.", *presenters.match_in_words(match), *presenters.gaps_in_words(case)]
        )

    @display(description="subject")
    def subject(self, case: ReviewCase) -> str:
        subject = subject_of(case)
        return "checked bytes" if subject is None else f"{subject[0]} {subject[1]}"

    @display(description="legal hold")
    def hold(self, case: ReviewCase) -> str:
        if not case.is_on_legal_hold:
            return "–"
        return f"until {case.legal_hold_until:%Y-%m-%d}" if case.legal_hold_until else "yes"

    @display(description="opened")
    def opened(self, case: ReviewCase) -> str:
        return when(case.created_at)

    @display(description="decided")
    def decided(self, case: ReviewCase) -> str:
        return when(case.decided_at)

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Redirect to the case's page in the console."""
        return redirect("console:case", pk=int(object_id) if object_id.isdecimal() else 0)

    @admin.action(description="Confirm…", permissions=["decide"])
    def confirm_cases(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> HttpResponse:
        return self._ask(request, queryset, "confirm")

    @admin.action(description="Dismiss…", permissions=["decide"])
    def dismiss_cases(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> HttpResponse:
        return self._ask(request, queryset, "dismiss")

    @admin.action(description="Escalate…", permissions=["decide"])
    def escalate_cases(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> HttpResponse:
        return self._ask(request, queryset, "escalate")

    @admin.action(description="Set a legal hold…", permissions=["hold"])
    def set_legal_hold(self, request: HttpRequest, queryset: QuerySet[ReviewCase]) -> Any:
        return holds.confirmation(request, actor_of(request), queryset, "set")

    @admin.action(description="Lift the legal hold…", permissions=["hold"])
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

    @display(description="batch", ordering="pk")
    def number(self, batch: DecisionBatch) -> str:
        return f"Batch {batch.pk}"

    @display(description="decision")
    def what(self, batch: DecisionBatch) -> str:
        return batch.verb or "–"  # type: ignore[attr-defined]

    @display(description="cases")
    def cases(self, batch: DecisionBatch) -> int:
        return batch.size  # type: ignore[attr-defined, no-any-return]

    @display(description="reason")
    def why(self, batch: DecisionBatch) -> str:
        verb = batch.verb or ""  # type: ignore[attr-defined]
        return ": ".join(filter(None, (reasons.in_words(verb, batch.reason), batch.note)))

    @display(description="made")
    def made(self, batch: DecisionBatch) -> str:
        return when(batch.created_at)

    @display(description="undone")
    def undone(self, batch: DecisionBatch) -> str:
        if batch.undone_at is None:
            return "–"
        return format_html("{} by {}", when(batch.undone_at), batch.undone_by)

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Redirect to the batch's page in the console."""
        return redirect("console:batch", pk=int(object_id) if object_id.isdecimal() else 0)

    @admin.action(description="Undo…", permissions=["decide"])
    def undo_batches(self, request: HttpRequest, queryset: QuerySet[DecisionBatch]) -> HttpResponse:
        ids = queryset.order_by("-pk").values_list("pk", flat=True)[: batches.MAX_BATCHES]
        return redirect(batches.undo_address(ids))


VERDICTS = {"block": "danger", "review": "warning", "allow": "success"}


class DistanceFilter(RadioFilter):
    title = "distance"
    parameter_name = "near"
    BANDS = {
        "same": ("identical (0)", Q(distance=0)),
        "near": ("within half the threshold", Q(distance__lte=F("threshold") / 2.0)),
        "within": ("within the threshold", THRESHOLD_MET),
        "beyond": ("beyond the threshold", ~THRESHOLD_MET),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, label) for name, (label, _) in self.BANDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CaseMatch]) -> QuerySet[CaseMatch]:
        band = self.BANDS.get(self.value() or "")
        return queryset if band is None else queryset.filter(band[1])


class CaseFilter(RadioFilter):
    title = "case"
    parameter_name = "case"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("1", "opened one"), ("0", "only recorded")]

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
    search_help_text = "An image's, video's or item's id, or a sha256, whole."

    actions = ["show_items"]

    @admin.action(description="Their items, to change these…", permissions=["view"])
    def show_items(
        self, request: HttpRequest, queryset: QuerySet[CaseMatch]
    ) -> HttpResponse | None:
        """Lead to the list of items, which has the actions on them."""
        found = queryset.exclude(item=None).order_by("item").values_list("item", flat=True)
        ids = list(found.distinct()[:MAX_SELECTED])
        if not ids:
            messages.warning(request, "The items of these matches were deleted.")
            return None
        address = reverse("admin:moderation_banneditem_changelist")
        return redirect(f"{address}?id__in={','.join(map(str, ids))}")

    def exact_search(self, term: str, number: int | None) -> Q:
        if number is not None:
            return Q(image=number) | Q(video=number) | Q(item=number)
        return Q(sha256=term.lower())

    @display(description="match", ordering="pk")
    def number(self, match: CaseMatch) -> int:
        return match.pk

    @display(description="list and version", header=True)
    def listed(self, match: CaseMatch) -> Sequence[str]:
        return match.list_name, f"version {match.list_version}"

    @display(description="match type and distance", header=True)
    def measured(self, match: CaseMatch) -> Sequence[str]:
        measured = f"{distance(match.distance)} of {distance(match.threshold)}"
        how = presenters.match_in_words(match)
        return match.match_type, " ".join([f"{measured}.", *how]) if how else measured

    @display(description="verdict", label=VERDICTS)
    def shown_verdict(self, match: CaseMatch) -> str:
        return match.verdict

    @display(description="subject")
    def subject(self, match: CaseMatch) -> str:
        subject = subject_of(match)
        if subject is None:
            return "deleted"
        name, pk = subject
        at = "" if match.time_ms is None else f" at {match.time_ms / 1000:.1f} s"
        address = kinds()[name].admin_url("change", pk)
        return format_html('<a href="{}">{}</a>', address, f"{name} {pk}{at}")

    @display(description="item")
    def of_item(self, match: CaseMatch) -> str:
        if match.item_id is None:
            return "deleted"
        return _link("moderation_banneditem", match.item_id, f"item {match.item_id}")

    @display(description="case")
    def in_case(self, match: CaseMatch) -> str:
        return "–" if match.case_id is None else f"case {match.case_id}"

    @display(description="found")
    def found(self, match: CaseMatch) -> str:
        return when(match.created_at)


def _link(page: str, pk: int, text: str) -> str:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), text)
