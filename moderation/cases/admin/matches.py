"""What was matched, as it was recorded: to read, never to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, RadioFilter
from unfold.decorators import display

from gallery.admin.listing import AddedSinceFilter
from moderation.access.admin import ByRole
from moderation.cases import wording
from moderation.cases.models import CaseMatch

VERDICTS = {"block": "danger", "review": "warning", "allow": "success"}


class DistanceFilter(RadioFilter):
    """How near, as a share of the threshold."""

    title = "distance"
    parameter_name = "near"
    BANDS = {
        "same": ("the same", Q(distance=0)),
        "near": ("within half the threshold", Q(distance__lte=F("threshold") / 2.0)),
        "within": ("within the threshold", Q(distance__lte=F("threshold"))),
        "beyond": ("beyond it, observed", Q(distance__gt=F("threshold"))),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, label) for name, (label, _) in self.BANDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CaseMatch]) -> QuerySet[CaseMatch]:
        """The chosen band, or all."""
        band = self.BANDS.get(self.value() or "")
        return queryset if band is None else queryset.filter(band[1])


class CaseFilter(RadioFilter):
    """Whether anybody has to decide."""

    title = "case"
    parameter_name = "case"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("1", "opened one"), ("0", "only recorded")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CaseMatch]) -> QuerySet[CaseMatch]:
        """Those with or without, or all."""
        if self.value() not in ("0", "1"):
            return queryset
        return queryset.filter(case__isnull=self.value() == "0")


@admin.register(CaseMatch)
class CaseMatchAdmin(ByRole):
    """Matches in the admin."""

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
    ]
    list_select_related = ["list"]
    ordering = ["-id"]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = "An image's, video's or item's id, or a sha256, whole."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CaseMatch], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What is named exactly."""
        term = search_term.strip().lower()
        if term.isascii() and term.isdigit() and len(term) < 19:
            return queryset.filter(Q(image=term) | Q(video=term) | Q(item=term)), False
        return (queryset.filter(sha256=term) if term else queryset), False

    @display(description="match", ordering="pk")
    def number(self, match: CaseMatch) -> int:
        return match.pk

    @display(description="list and version", header=True)
    def listed(self, match: CaseMatch) -> Sequence[str]:
        """As they were then."""
        return match.list_name, f"version {match.list_version}"

    @display(description="match type and distance", header=True)
    def measured(self, match: CaseMatch) -> Sequence[str]:
        """Against the threshold that held."""
        distance = f"{match.distance:.4g} of {match.threshold:.4g}"
        said = wording.of_match(match)
        return match.match_type, " ".join([f"{distance}.", *said]) if said else distance

    @display(description="verdict", label=VERDICTS)
    def shown_verdict(self, match: CaseMatch) -> str:
        return match.verdict

    @display(description="subject")
    def subject(self, match: CaseMatch) -> str:
        """What was matched, linked while it is there."""
        if match.image_id is not None:
            return _link("gallery_image", match.image_id, f"image {match.image_id}")
        if match.video_id is not None:
            at = "" if match.time_ms is None else f" at {match.time_ms / 1000:.1f} s"
            return _link("videos_video", match.video_id, f"video {match.video_id}{at}")
        return "no longer here"

    @display(description="item")
    def of_item(self, match: CaseMatch) -> str:
        """Linked while it is there."""
        if match.item_id is None:
            return "no longer there"
        return _link("moderation_banneditem", match.item_id, f"item {match.item_id}")

    @display(description="case")
    def in_case(self, match: CaseMatch) -> str:
        """The case that it opened."""
        return "–" if match.case_id is None else f"case {match.case_id}"

    @display(description="found")
    def found(self, match: CaseMatch) -> str:
        """Day and minute, UTC."""
        return f"{match.created_at:%Y-%m-%d %H:%M}"


def _link(page: str, pk: int, text: str) -> str:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), text)
