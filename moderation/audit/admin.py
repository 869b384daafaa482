"""The audit in the admin: reading and exporting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter
from unfold.decorators import display

from gallery.shared.responses import CSV, download
from moderation.access.admin import RoleModelAdmin
from moderation.access.permissions import actor_of
from moderation.audit import export as audit_export
from moderation.audit.models import AuditEvent

BATCHED = ("gallery_image", "videos_video")
"""Tables whose bulk actions have their own pages."""


class VerbFilter(TextFilter):
    """Filters by verb, or by the beginning of a verb."""

    title = "verb"
    parameter_name = "verb"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent]
    ) -> QuerySet[AuditEvent]:
        return queryset.filter(verb__startswith=self.value()) if self.value() else queryset


class ActorFilter(TextFilter):
    title = "actor"
    parameter_name = "actor"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent]
    ) -> QuerySet[AuditEvent]:
        return queryset.filter(actor=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(RoleModelAdmin):
    """Audit events. ``manage.py verify_audit`` checks them."""

    view_action = "view the audit"
    list_display = ["number", "when", "actor", "what", "about", "count", "reason"]
    list_display_links = ["number"]
    list_filter = [VerbFilter, ActorFilter, ("at", RangeDateTimeFilter)]
    ordering = ["-id"]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = "The id of what it is about, the digest of an event, or an actor, whole."
    actions = ["export_csv", "export_json"]
    fields = [
        "id", "at", "actor", "verb", "about", "count", "reason", "shown_before", "shown_after",
        "previous", "digest",
    ]  # fmt: skip
    readonly_fields = fields

    def exact_search(self, term: str, number: int | None) -> Q:
        if number is not None:
            return Q(subject_id=number)
        return Q(digest=term.lower()) | Q(actor=term)

    @display(description="event", ordering="pk")
    def number(self, event: AuditEvent) -> int:
        return event.pk

    @display(description="at")
    def when(self, event: AuditEvent) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    @display(description="what")
    def what(self, event: AuditEvent) -> str:
        return format_html("<code>{}</code>", event.verb)

    @display(description="about")
    def about(self, event: AuditEvent) -> str:
        kind = event.subject.rpartition(".")[2]
        return kind if event.subject_id is None else f"{kind} {event.subject_id}"

    @display(description="before")
    def shown_before(self, event: AuditEvent) -> str:
        return _json(event.before)

    @display(description="after")
    def shown_after(self, event: AuditEvent) -> str:
        """Return the value as JSON, with a link to the page that can undo it."""
        text = _json(event.after)
        batch = event.after.get("batch") if isinstance(event.after, dict) else None
        kind = event.subject.replace(".", "_")
        if batch is None or kind not in BATCHED:
            return text
        address = reverse(f"admin:{kind}_batch", args=[batch])
        return format_html('{} <a href="{}">See or undo batch {}</a>', text, address, batch)

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> HttpResponseBase:
        return _file(request, audit_export.as_csv, queryset, "csv", CSV)

    @admin.action(description="Export as JSON Lines", permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> HttpResponseBase:
        return _file(request, audit_export.as_json, queryset, "jsonl", "application/jsonl")


def _json(value: Any) -> str:
    if value is None:
        return "–"
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return format_html('<pre class="audit-json">{}</pre>', text)


def _file(
    request: HttpRequest,
    export: Callable[..., Iterator[str]],
    events: QuerySet[AuditEvent],
    extension: str,
    content_type: str,
) -> HttpResponseBase:
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.{extension}"
    return download(name, export(by=actor_of(request), events=events), content_type)
