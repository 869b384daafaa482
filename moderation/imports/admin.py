"""Imports in the admin: upload, preview, confirmation, progress and bad rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from gallery.admin.confirmation import asked
from gallery.admin.listing import DaysFilter
from gallery.admin.selection import Selection
from gallery.shared import readable, times
from gallery.shared.csv_export import csv_lines
from gallery.shared.errors import UserError
from gallery.shared.responses import download
from moderation.access.admin import OwnPagesAdmin
from moderation.access.permissions import actor_of
from moderation.access.words import word
from moderation.imports import run, start, undoing
from moderation.imports.models import ListImport
from moderation.imports.options import Options, options
from moderation.lists import exporting
from moderation.lists.admin.choices import ListChoiceField
from moderation.lists.formats.reading import READER_NAMES, Format
from moderation.lists.formats.rows import HashKind
from moderation.lists.formats.writing import WRITERS
from moderation.lists.models import BannedList


class ImportForm(forms.Form):
    list = ListChoiceField(
        label=_("List"),
        queryset=BannedList.objects.all(),
        widget=UnfoldAdminSelectWidget(),
        empty_label=_("Choose…"),
    )
    file = forms.FileField(
        label=_("File"),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.xml,.json,text/*"}),
        help_text=format_lazy(
            _(
                "CSV with a header, “kind hash” lines, or a file as one of these writes it: "
                "{names}."
            ),
            names=", ".join(sorted(READER_NAMES)),
        ),
    )
    format = forms.ChoiceField(
        label=_("Format"),
        required=False,
        choices=[("", _("found out")), *((one.value, one.value) for one in Format)],
        widget=UnfoldAdminSelectWidget(),
    )
    source = forms.CharField(
        label=_("Source"),
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The source of rows that name none."),
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        choices=[("", _("as the file says")), *((one.value, one.value) for one in HashKind)],
        widget=UnfoldAdminSelectWidget(),
        help_text=_("The kind of hashes given without one."),
    )
    categories = forms.CharField(
        label=_("Categories"),
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_(
            "Import only these categories, separated by commas; empty = all. "
            "Required for Project VIC."
        ),
    )
    full = forms.BooleanField(
        required=False,
        label=_("This is the full list"),
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_("Entries that are missing from it are retired."),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.MAX_LIST_BYTES:
            raise forms.ValidationError(
                gettext(
                    "The file has %(size)s bytes; at most %(max_list_bytes)s can be uploaded. "
                    "manage.py import_hash_list has no limit."
                )
                % {"size": f"{file.size:,}", "max_list_bytes": f"{settings.MAX_LIST_BYTES:,}"}
            )
        return file

    def options(self) -> Options:
        given = self.cleaned_data
        return options(
            source=given["source"],
            kind=given["kind"],
            categories=given["categories"].split(","),
            full=given["full"],
        )


class ExportForm(forms.Form):
    list = ListChoiceField(
        label=_("List"),
        queryset=BannedList.objects.all(),
        widget=UnfoldAdminSelectWidget(),
        empty_label=_("Choose…"),
    )
    format = forms.ChoiceField(
        label=_("Format"),
        choices=[(one.value, one.value) for one in WRITERS],
        widget=UnfoldAdminSelectWidget(),
    )


State = ListImport.State
BADGES = {
    "pending": "info",
    "running": "info",
    "previewed": "warning",
    "waiting": "warning",
    "done": "success",
    "failed": "danger",
}
BAD_ROWS_SHOWN = 50
"""Bad rows on an import's page. The download has all bad rows that are stored."""
COUNTS_SHOWN = (
    ("added", _("Added"), _("new items")),
    ("changed", _("Changed"), _("other facts, or more hashes")),
    ("reactivated", _("Active again"), _("their source withdrew them and lists them again")),
    (
        "retired",
        _("Retired"),
        _("withdrawn, expired, or missing from a full list: no longer matched"),
    ),
    ("unchanged", _("Unchanged"), _("nothing new, or older than the stored entry")),
    ("kept", _("Left retired"), _("retired by hand, which an import does not undo")),
)
CHANGES = {
    "added": _("%(number)s added"),
    "changed": _("%(number)s changed"),
    "reactivated": _("%(number)s reactivated"),
    "retired": _("%(number)s retired"),
    "unchanged": _("%(number)s unchanged"),
    "kept": _("%(number)s kept"),
    "bad": _("%(number)s bad"),
}


@admin.register(ListImport)
class ListImportAdmin(OwnPagesAdmin):
    templates = "moderation/imports"
    view_action = add_action = "import lists"
    list_display = [
        "number", "shown_list", "file_name", "shown_state", "shown_progress", "shown_counts",
        "added_by", "added",
    ]  # fmt: skip
    list_display_links = ["number", "file_name"]
    list_before_template = "moderation/imports/buttons.html"
    list_filter = [("state", ChoicesCheckboxFilter), "list", ("created_at", DaysFilter)]
    list_select_related = ["list"]
    sortable_by = ["number"]
    actions = ["retry_imports", "discard_imports"]

    @admin.action(description=_("Try again…"), permissions=["view"])
    def retry_imports(
        self, request: HttpRequest, queryset: QuerySet[ListImport]
    ) -> HttpResponse | None:
        """Those that failed without fault of their file."""
        rows = queryset.filter(state=State.FAILED).exclude(file="")
        return self._all(
            request,
            rows,
            start.retry,
            button=ngettext(
                "Try %(count)s import again", "Try %(count)s imports again", rows.count()
            ),
            would=gettext("Each file is read again, as it was asked for."),
        )

    @admin.action(description=_("Discard…"), permissions=["view"])
    def discard_imports(
        self, request: HttpRequest, queryset: QuerySet[ListImport]
    ) -> HttpResponse | None:
        """Those that were previewed or wait."""
        rows = queryset.filter(state__in=[State.PREVIEWED, State.WAITING])
        return self._all(
            request,
            rows,
            start.discard,
            button=ngettext("Discard %(count)s import", "Discard %(count)s imports", rows.count()),
            would=gettext("Their files are deleted. The lists stay as they are."),
        )

    def _all(
        self,
        request: HttpRequest,
        rows: QuerySet[ListImport],
        service: Callable[..., ListImport],
        *,
        button: str,
        would: str,
    ) -> HttpResponse | None:
        """Ask, then do it for each import; say which cannot be done, and why."""
        found = list(rows.select_related("list").order_by("pk"))
        if not found:
            messages.warning(
                request, gettext("Nothing to do: it fits none of the selected imports.")
            )
            return None
        lines = [
            gettext("%(number)s: %(file)s into %(list)s")
            % {"number": row.pk, "file": row.file_name, "list": row.list.name}
            for row in found
        ]
        selection = Selection(request, service.__name__, rows, ["state"])
        page = asked(
            self, request, selection, would=would, lines=lines,
            button=button % {"count": len(found)}, danger=service is start.discard,
        )  # fmt: skip
        if page is not None:
            return page
        done = 0
        for row in found:
            try:
                service(by=actor_of(request), import_id=row.pk)
                done += 1
            except UserError as error:
                messages.error(request, error.message)
        if done:
            text = ngettext("Done for %(count)s import.", "Done for %(count)s imports.", done)
            messages.success(request, text % {"count": done})
        return None

    def get_urls(self) -> list[URLPattern]:

        def page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
            wrapped: Callable[..., HttpResponseBase] = self.admin_site.admin_view(view)
            return wrapped

        name = "moderation_listimport"
        return [
            path("export/", page(self.export_view), name=f"{name}_export"),
            path("<int:pk>/confirm/", page(self.confirm_view), name=f"{name}_confirm"),
            path("<int:pk>/discard/", page(self.discard_view), name=f"{name}_discard"),
            path("<int:pk>/retry/", page(self.retry_view), name=f"{name}_retry"),
            path("<int:pk>/undo/", page(self.undo_view), name=f"{name}_undo"),
            path("<int:pk>/bad_rows.csv", page(self.bad_rows_view), name=f"{name}_bad_rows"),
            *super().get_urls(),
        ]

    @display(description=_("id"), ordering="pk")
    def number(self, row: ListImport) -> int:
        return row.pk

    @display(description=_("list"))
    def shown_list(self, row: ListImport) -> str:
        return row.list.name

    @display(description=_("state"), label=BADGES)
    def shown_state(self, row: ListImport) -> tuple[str, str]:
        return row.state, word(row.state)

    @display(description=_("progress"))
    def shown_progress(self, row: ListImport) -> str:
        if row.state not in (State.PENDING, State.RUNNING):
            return "–"
        return format_html(
            '<progress class="video-progress" max="100" value="{}" aria-label="{}"></progress>'
            " {} %",
            row.progress,
            gettext("Progress of import %(number)s") % {"number": row.pk},
            row.progress,
        )

    @display(description=_("what changes"))
    def shown_counts(self, row: ListImport) -> str:
        names = (*run.CHANGE_COUNTS, "bad")
        counts = [
            str(CHANGES[name] % {"number": f"{row.counts[name]:,}"})
            for name in names
            if row.counts.get(name)
        ]
        return gettext(", ").join(counts) or "–"

    @display(description=_("begun"))
    def added(self, row: ListImport) -> str:
        return times.when(row.created_at)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Upload a file. A preview comes first."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None, initial=request.GET.dict())
        if request.method == "POST" and form.is_valid():
            try:
                row = start.begin(
                    by=actor_of(request),
                    list_id=form.cleaned_data["list"].pk,
                    file=form.cleaned_data["file"],
                    format=form.cleaned_data["format"],
                    options=form.options(),
                    dry_run=True,
                )
                return redirect("admin:moderation_listimport_change", row.pk)
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else "file", error.message)
        return self.own_page(request, "add.html", gettext("Import a hash list"), form=form)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.existing(int(object_id) if object_id.isdecimal() else 0)
        going = row.state in (State.PENDING, State.RUNNING)
        return self.own_page(
            request,
            "import.html",
            gettext("Import %(number)s") % {"number": row.pk},
            row=row,
            going=going,
            compared=bool(row.counts) and not going,
            to_confirm=row.state in (State.PREVIEWED, State.WAITING) and bool(row.file),
            large=run.is_large(row) if row.counts and not row.finished_at else False,
            undoable=undoing.is_undoable(row),
            to_retry=row.state == State.FAILED and bool(row.file),
            badge=BADGES[row.state],
            size=readable.size(row.size),
            diff=diff(row),
            numbers={name: f"{row.counts.get(name, 0):,}" for name in ("rows", "skipped", "bad")},
            skipped_kinds=gettext(", ").join(
                f"{count:,} {kind}" for kind, count in row.counts.get("skipped_kinds", {}).items()
            ),
            bad=row.bad_rows.all()[:BAD_ROWS_SHOWN],
            stored=row.bad_rows.count(),
        )

    def confirm_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._do(request, pk, start.confirm, gettext("The import was started."))

    def discard_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._do(request, pk, start.discard, gettext("The file was discarded."))

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._do(request, pk, start.retry, gettext("The import was started again."))

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        undo = partial(undoing.undo, reason=request.POST.get("reason", ""))
        return self._do(request, pk, undo, gettext("The import was undone."))

    def bad_rows_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.existing(pk)
        return download(f"import-{row.pk}-bad-rows.csv", bad_row_lines(row))

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Download a list. It needs a POST because it records an audit event."""
        if not self.may(request, "export lists"):
            raise PermissionDenied
        form = ExportForm(request.POST or None, initial=request.GET.dict())
        if request.method == "POST" and form.is_valid():
            chosen = form.cleaned_data["format"]
            name, pieces = exporting.export_list(
                by=actor_of(request), list_id=form.cleaned_data["list"].pk, format=chosen
            )
            return download(name, pieces, exporting.CONTENT_TYPES[Format(chosen)])
        return self.own_page(request, "export.html", gettext("Export a list"), form=form)

    def _do(
        self, request: HttpRequest, pk: int, service: Callable[..., ListImport], done: str
    ) -> HttpResponse:
        if request.method != "POST":
            raise PermissionDenied
        try:
            service(by=actor_of(request), import_id=pk)
            messages.success(request, done)
        except UserError as error:
            messages.error(request, error.message)
        return redirect("admin:moderation_listimport_change", pk)


def diff(row: ListImport) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "heading": heading,
            "meaning": meaning,
            "count": row.counts.get(name, 0),
            "shown": f"{row.counts.get(name, 0):,}",
            "samples": row.samples.get(name, [])
            + (row.samples.get("missing", []) if name == "retired" else []),
        }
        for name, heading, meaning in COUNTS_SHOWN
    ]


def bad_row_lines(row: ListImport) -> Iterator[str]:
    columns = ("place", "reason", "excerpt")
    return csv_lines(columns, row.bad_rows.values_list(*columns).iterator())
