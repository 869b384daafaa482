"""The pages of items: the list, one item, and adding some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, TextFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from gallery.admin.listing import AddedSinceFilter, YesNoFilter
from gallery.items.media_access import guard
from gallery.shared.access import access_of
from moderation.access.permissions import actor_of, can
from moderation.lists import items
from moderation.lists.admin.item_actions import ItemActions
from moderation.lists.admin.item_adding import AddItemsForm, add_items
from moderation.lists.admin.lists import ReasonForm
from moderation.lists.item_changes import TEXTS
from moderation.lists.models import (
    BannedFingerprint,
    BannedHash,
    BannedItem,
    RetroScan,
)

HASHES_SHOWN = 100
MATCHES_SHOWN = 10
SCANS_SHOWN = 3
STATES = {"active": "success", "retired": "info"}
OPINIONS = {"confirmed": "danger", "disputed": "warning", "false positive": "success"}


class SuspendedFilter(YesNoFilter):
    """Whether it leads to review at most, as it flooded."""

    title = "suspended"
    parameter_name = "suspended"
    condition = Q(suspended_at__isnull=False)


class SourceFilter(TextFilter):
    """Exactly one source; a list of all of them would read the whole table."""

    title = "source"
    parameter_name = "source"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[BannedItem]
    ) -> QuerySet[BannedItem]:
        """What this source entered, or all."""
        return queryset.filter(source=self.value()) if self.value() else queryset


class ItemForm(ReasonForm):
    """What can be said of an item."""

    tags = SimpleArrayField(
        forms.CharField(max_length=255),
        required=False,
        help_text="Commas between them.",
        widget=UnfoldAdminTextInputWidget,
    )
    note = forms.CharField(required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))

    class Meta:
        model = BannedItem
        fields = list(TEXTS)


@admin.register(BannedItem)
class BannedItemAdmin(ItemActions):
    """Items in the admin. Their pictures come from the console, which notes each clear look."""

    add_action = change_action = "edit items"
    form = ItemForm
    fields = [("category", "severity", "owner"), "tags", "note", "expires_at", "reason"]
    change_form_outer_before_template = "moderation/admin/item_facts.html"
    list_display = [
        "number",
        "list",
        "shown_state",
        "shown_opinion",
        "known_by",
        "from_source",
        "shown_tags",
        "added",
    ]
    list_display_links = ["number"]
    list_filter = [
        "list",
        ("state", ChoicesCheckboxFilter),
        ("opinion", ChoicesCheckboxFilter),
        ("media", ChoicesCheckboxFilter),
        SuspendedFilter,
        SourceFilter,
        AddedSinceFilter,
    ]
    list_select_related = ["list"]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = "An id, a source's id, or a whole hash: md5, sha1, sha256 or pdq."

    def get_queryset(self, request: HttpRequest) -> QuerySet[BannedItem]:
        """With the hashes of all of an item; a video's thousands are left out."""
        of_all = BannedHash.objects.filter(time_ms=None).order_by("id")
        rows: QuerySet[BannedItem] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("hashes", of_all, to_attr="of_all"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BannedItem], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What is named exactly, each way answered by an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = Q(source_id=term)
        if len(term) >= 32:
            named |= Q(pk__in=BannedHash.objects.valued([term.lower()]).values("item"))
        if term.isascii() and term.isdigit() and len(term) < 19:
            named |= Q(pk=term)
        return queryset.filter(named), False

    @display(description="item", ordering="pk")
    def number(self, item: BannedItem) -> int:
        return item.pk

    @display(description="state", label=STATES)
    def shown_state(self, item: BannedItem) -> tuple[str, str]:
        return item.state, f"{item.state}, suspended" if item.suspended_at else item.state

    @display(description="our opinion", label=OPINIONS)
    def shown_opinion(self, item: BannedItem) -> str | None:
        """A coloured badge, if we have one."""
        return (
            None if item.opinion == BannedItem.Opinion.NONE else item.get_opinion_display().lower()
        )

    @display(description="known by", header=True)
    def known_by(self, item: BannedItem) -> Sequence[str]:
        """Its kinds of hashes, and the first of them."""
        hashes = item.of_all  # type: ignore[attr-defined]
        kinds = ", ".join(dict.fromkeys(one.kind for one in hashes)) or "–"
        what = "picture kept" if item.picture else "hashes only"
        return kinds, f"{item.media}, {what}" if item.media != "unknown" else what

    @display(description="source", header=True)
    def from_source(self, item: BannedItem) -> Sequence[str]:
        """Whose entry it is, and its id there."""
        return item.source or "ours", item.source_id

    @display(description="tags")
    def shown_tags(self, item: BannedItem) -> str:
        return ", ".join(item.tags)

    @display(description="added")
    def added(self, item: BannedItem) -> str:
        """Day and minute, UTC."""
        return f"{item.created_at:%Y-%m-%d %H:%M}"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One item: what it is known by and what it matched above what can be changed."""
        context = {
            "first_filter": guard().first_filter(access_of(request)),
            "may_look": can(actor_of(request), "see media"),
            **(facts_of(int(object_id)) if object_id.isdecimal() and len(object_id) < 19 else {}),
            "show_save_and_add_another": False,
            **(extra_context or {}),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add items in every way there is."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, outcomes = AddItemsForm(initial={"to": request.GET.get("list")}), []
        if request.method == "POST":
            form = AddItemsForm(request.POST, request.FILES)
            if form.is_valid():
                outcomes = list(add_items(form.cleaned_data, by=actor_of(request)))
                form = AddItemsForm(initial={"to": form.cleaned_data["to"]})
        context = {
            **self.admin_site.each_context(request),
            "title": "Add items",
            "opts": self.opts,
            "form": form,
            "outcomes": outcomes,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "moderation/admin/add_items.html", context)

    def save_model(self, request: HttpRequest, obj: BannedItem, form: Any, change: bool) -> None:
        """One call of a service."""
        items.change_item(
            by=actor_of(request),
            item_id=obj.pk,
            reason=form.cleaned_data["reason"],
            **form.given(),
        )


def facts_of(pk: int) -> dict[str, Any]:
    """What the page says of an item."""
    hashes = BannedHash.objects.filter(item=pk)
    vectors = BannedFingerprint.objects.filter(item=pk).order_by().values("version")
    item = BannedItem.objects.filter(pk=pk).first()
    return {
        "hashes": hashes.order_by("time_ms", "id")[:HASHES_SHOWN],
        "more_hashes": max(0, hashes.count() - HASHES_SHOWN),
        "vectors": vectors.annotate(count=Count("pk")).order_by("version"),
        "found": item.matches.order_by("-id")[:MATCHES_SHOWN] if item else [],
        "scans": RetroScan.objects.filter(item=pk).order_by("-id")[:SCANS_SHOWN],
    }
