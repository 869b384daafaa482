"""The admin pages of every kind of item: the list, one item, and adding items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from gallery.admin import listing
from gallery.admin.actions import ItemActions
from gallery.admin.adding import AddItemsForm, AddResult, too_large
from gallery.admin.batch_pages import actor
from gallery.items.changing import update_item
from gallery.items.expiry import fate_of_files
from gallery.items.item import Item, Status
from gallery.items.media_access import with_visibility
from gallery.shared import readable, times
from gallery.shared.access import access_of, sender_of
from gallery.shared.meta import meta_problem
from gallery.templatetags.item_pictures import item_picture

BADGES = {
    Status.READY.value: "success",
    Status.PENDING.value: "info",
    Status.FAILED.value: "danger",
    Status.QUARANTINED.value: "warning",
}
MAX_URL_SHOWN = 48
"""Longest URL, in characters, in a list."""


class MetaField(forms.JSONField):
    """A JSON object. An item without one shows an empty box, not the word null."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class ItemForm(forms.ModelForm):
    """The editable fields of an item. An emptied field becomes null."""

    remark = forms.CharField(
        required=False,
        label=_("Remark"),
        max_length=10_000,
        empty_value=None,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    meta = MetaField(
        required=False,
        label=_("Meta"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5}),
        help_text=_("A JSON object."),
    )

    class Meta:
        fields = ["data_id", "remark", "meta"]
        labels = {"data_id": _("Data id")}
        help_texts = {"data_id": _("the client's id")}

    def clean_meta(self) -> Any:
        """Accept only a JSON object that PostgreSQL can store, as in the API."""
        meta = self.cleaned_data["meta"]
        if meta is None:
            return None
        if not isinstance(meta, dict):
            raise forms.ValidationError(_('Give a JSON object, for example {"album": "2024"}.'))
        if problem := meta_problem(meta):
            raise forms.ValidationError(f"{problem[0].upper()}{problem[1:]}.")
        return meta


class ItemAdmin(ItemActions, listing.BulkListMixin, ModelAdmin):
    """A subclass sets ``item_kind``, ``commands`` and ``add_form``, and implements ``add_file``,
    ``add_links`` and ``facts``."""

    add_form: ClassVar[type[AddItemsForm]]
    form = ItemForm
    fields = ["data_id", "remark", "meta"]
    list_display_links = ["number"]
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = listing.EstimatingPaginator
    # Sorting by another column than the primary key would sort the whole table.
    sortable_by = ["number"]
    search_fields = ["data_id"]
    search_help_text = listing.SEARCH_HELP

    def facts(self, item_id: int) -> dict[str, Any]:
        raise NotImplementedError

    def max_file_bytes(self) -> int:
        raise NotImplementedError

    def add_file(self, file: UploadedFile, **common: Any) -> AddResult:
        """Add one file. ``common``: further arguments of the adding service."""
        raise NotImplementedError

    def add_links(self, urls: Sequence[str], **common: Any) -> list[AddResult]:
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        items: QuerySet[Any] = super().get_queryset(request)
        return with_visibility(access_of(request), items)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find exact and prefix matches only; see ``listing.matching``."""
        return listing.matching(queryset, search_term), False

    @display(description="")
    def picture(self, item: Item) -> str:
        context = item_picture(item, href=self.item_kind.admin_url("change", item.pk))
        return render_to_string("gallery/items/picture.html", context)

    @display(description=_("id"), ordering="pk")
    def number(self, item: Item) -> int:
        pk: int = item.pk
        return pk

    @display(description=_("status"), label=BADGES)
    def shown_status(self, item: Any) -> tuple[str, str]:
        status: str = item.status
        return status, str(item.status_word)

    @display(description=_("format"), header=True)
    def kind(self, item: Item) -> Sequence[str]:
        if not item.was_read:
            return str(_("unknown")), str(_("moved in"))
        size = f"{item.width}\u00a0×\u00a0{item.height}, {readable.size(item.bytes)}"
        return item.format, size

    @display(description=_("url and md5"), header=True)
    def source(self, item: Item) -> Sequence[str]:
        url = item.url or _("uploaded")
        shown = url if len(url) <= MAX_URL_SHOWN else f"{url[: MAX_URL_SHOWN - 1]}…"
        return (
            format_html('<span class="image-url" title="{}">{}</span>', url, shown),
            format_html('<code class="image-digest">{}</code>', item.known_md5 or _("md5 unknown")),
        )

    @display(description=_("added"))
    def added(self, item: Item) -> str:
        return times.when(item.created_at)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        is_id = object_id.isdecimal() and len(object_id) < 19
        context = {
            "withheld": self.withheld_words(request, object_id),
            "fate_of_files": self.fate_of_files(request, object_id),
            "item_name": self.item_kind.words.numbered % {"id": object_id},
            "show_save_and_add_another": False,
            **(self.facts(int(object_id)) if is_id else {}),
            **(extra_context or {}),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def fate_of_files(self, request: HttpRequest, object_id: str) -> str:
        if not (object_id.isdecimal() and len(object_id) < 19):
            return ""
        item = self.item_kind.rows([int(object_id)]).first()
        allowed = access_of(request).allows("moderate")
        return fate_of_files(item, with_cases=allowed) if item else ""

    def save_model(self, request: HttpRequest, obj: Item, form: Any, change: bool) -> None:
        """Save the changed fields. ``response_change`` runs the action of the pressed button."""
        if fields := {name: form.cleaned_data[name] for name in form.changed_data}:
            update_item(model=type(obj), item_id=obj.pk, fields=fields, by=actor(request))

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, results = self.add_form(), []
        if request.method == "POST":
            form = self.add_form(request.POST, request.FILES)
            if form.is_valid():
                results = self._add(request, form.cleaned_data)
                form = self.add_form()
        context = {
            **self.admin_site.each_context(request),
            "title": self.item_kind.words.add,
            "opts": self.opts,
            "noun": self.item_kind.words.noun,
            "back_to_list": self.item_kind.words.back,
            "change_view": self.item_kind.admin_view("change"),
            "list_url": self.item_kind.admin_url("changelist"),
            "form": form,
            "results": results,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "gallery/items/add.html", context)

    def _add(self, request: HttpRequest, cleaned: Mapping[str, Any]) -> list[AddResult]:
        sender = sender_of(request)
        common = {"remark": cleaned["remark"], "by": sender.name, "client": sender.client}
        most = self.max_file_bytes()
        return [
            *(too_large(file, most) or self.add_file(file, **common) for file in cleaned["files"]),
            *self.add_links(cleaned["urls"], **common),
        ]
