"""The audit in the admin: sentences with links, what is filtered as a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from gallery.admin.listing import DaysFilter, NearestPageList, PickFilter
from gallery.shared import times
from gallery.shared.responses import CSV, download
from moderation.access.admin import RoleModelAdmin
from moderation.access.numbers import whole_number
from moderation.access.permissions import actor_of
from moderation.access.stored_sentences import sentence as sentence_in_words
from moderation.audit import export as audit_export
from moderation.audit import finding
from moderation.audit.models import AuditEvent
from moderation.audit.sentences import Names, actor, as_html, as_text, sentence, unlinked
from moderation.audit.wordings import GROUPS

BATCHED = ("gallery_image", "videos_video")
"""Tables whose bulk actions have their own pages."""
RUN = "run"
"""Parameter of a page that shows each look of a run: its last event."""
EXPORTS = {
    "csv": (audit_export.as_csv, CSV),
    "jsonl": (audit_export.as_json, "application/jsonl"),
}


class ActionFilter(PickFilter):
    title = _("action")
    parameter_name = column = "verb"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[Any]:
        return [
            (str(group), [(verb, str(wording.name)) for verb, wording in some.items()])
            for group, some in GROUPS.items()
        ]


class PersonFilter(PickFilter):
    title = _("person or program")
    parameter_name = column = "actor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, as_text(actor(name))) for name in finding.actors()]


class AuditList(NearestPageList):
    """Looks in a row are one line, except in what is searched for: a search asks for each."""

    model_admin: Any
    result_list: Any

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        kept: dict[str, Any] = super().get_filters_params(params)
        kept.pop(RUN, None)
        return kept

    def get_queryset(self, request: HttpRequest, *args: Any) -> QuerySet[AuditEvent]:
        found: QuerySet[AuditEvent] = super().get_queryset(request, *args)
        self.run = whole_number(request.GET.get(RUN, ""))
        if self.run is not None:
            found = found.filter(pk__in=finding.in_run(self.run).values("pk"))
        self.each_event = found
        return found if self.query or self.run is not None else finding.folded(found)

    def get_results(self, request: HttpRequest) -> None:
        """Read the names and runs of all rows of the page together."""
        super().get_results(request)
        events = list(self.result_list)
        names = Names.of(events, unlinked=unlinked(request))
        runs = finding.runs(events) if not (self.query or self.run is not None) else {}
        for event in events:
            event.sentence = sentence(event, names)
            event.run = runs.get(event.pk)
        self.result_list = events


@admin.register(AuditEvent)
class AuditEventAdmin(RoleModelAdmin):
    """Audit events. ``manage.py verify_audit`` checks them."""

    view_action = "view the audit"
    list_display = ["number", "when", "what", "shown_reason"]
    list_display_links = ["number"]
    list_filter = [ActionFilter, PersonFilter, ("at", DaysFilter)]
    list_before_template = "moderation/audit/before_list.html"
    ordering = ["-id"]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = _("Person, data id, “case 5”, id, list")
    actions = None
    fields = [
        "what", "exact_time", "actor", "verb", "reason", "shown_before", "shown_after", "count",
        "about", "previous", "digest",
    ]  # fmt: skip
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        return [
            path("export/", export, name="moderation_auditevent_export"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[AuditList]:
        return AuditList

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> AuditEvent | None:
        event: AuditEvent | None = super().get_object(request, *args, **kwargs)
        if event is not None:
            names = Names.of([event], unlinked=unlinked(request))
            event.sentence = sentence(event, names)  # type: ignore[attr-defined]
        return event

    def exact_search(self, term: str, number: int | None) -> Q:
        return finding.about(term)

    @display(description=_("event"), ordering="pk")
    def number(self, event: AuditEvent) -> int:
        return event.pk

    @display(description=_("when"))
    def when(self, event: AuditEvent) -> str:
        return times.when(event.at)

    @display(description=_("exact time"))
    def exact_time(self, event: AuditEvent) -> str:
        return times.exact(event.at)

    @display(description=_("what happened"))
    def what(self, event: Any) -> str:
        """Return the sentence; for looks in a row how many, with a link to each of them."""
        run = getattr(event, "run", None)
        if run is None:
            return format_html('<span class="sentence">{}</span>', as_html(event.sentence))
        said = gettext("%(person)s looked clearly %(times)s times since %(time)s") % {
            "person": as_text(actor(event.actor)),
            "times": f"{run.looks:,}",
            "time": f"{timezone.localtime(run.began):%H:%M}",
        }
        return format_html(
            '<span class="sentence">{} <a href="?{}={}">{}</a></span>',
            said,
            RUN,
            event.pk,
            gettext("Show each look"),
        )

    @display(description=_("reason"))
    def shown_reason(self, event: AuditEvent) -> str:
        """A decision has its reason in words before the person's note."""
        words, colon, note = event.reason.partition(": ")
        return f"{sentence_in_words(words)}{colon}{note}"

    @display(description=_("about"))
    def about(self, event: AuditEvent) -> str:
        kind = event.subject.rpartition(".")[2]
        return kind if event.subject_id is None else f"{kind} {event.subject_id}"

    @display(description=_("before"))
    def shown_before(self, event: AuditEvent) -> str:
        return _json(event.before)

    @display(description=_("after"))
    def shown_after(self, event: AuditEvent) -> str:
        """Return the value as JSON, with a link to the page that can undo it."""
        text = _json(event.after)
        batch = event.after.get("batch") if isinstance(event.after, dict) else None
        kind = event.subject.replace(".", "_")
        if batch is None or kind not in BATCHED:
            return text
        address = reverse(f"admin:{kind}_batch", args=[batch])
        link = gettext("See or undo batch %(number)s") % {"number": batch}
        return format_html('{} <a href="{}">{}</a>', text, address, link)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send what search and filters of the address leave, each event. It needs a POST because
        it records an event itself."""
        chosen = EXPORTS.get(request.POST.get("format", ""))
        if request.method != "POST" or chosen is None or not self.has_view_permission(request):
            raise PermissionDenied
        export, content_type = chosen
        events = self.get_changelist_instance(request).each_event
        name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.{request.POST['format']}"
        return download(name, export(by=actor_of(request), events=events), content_type)


def _json(value: Any) -> str:
    if value is None:
        return "–"
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return format_html('<pre class="audit-json">{}</pre>', text)
