"""The admin of items: the list of items, the page of an item, adding, and bulk actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import PermissionDenied
from django.db.models import CharField, Count, Prefetch, Q, QuerySet, Value
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, TextFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from gallery.admin.listing import AddedSinceFilter, DaysFilter, YesNoFilter
from gallery.admin.selection import CHANGED, Selection
from gallery.items.media_access import guard
from gallery.shared import times
from gallery.shared.access import access_of
from gallery.shared.errors import UserError
from gallery.shared.responses import download
from moderation.access.admin import RoleModelAdmin
from moderation.access.numbers import whole_number
from moderation.access.permissions import actor_of, can
from moderation.access.words import word
from moderation.lists import exporting, item_changing
from moderation.lists.admin.choices import ListChoiceField
from moderation.lists.admin.item_adding import AddItemsForm, add_items
from moderation.lists.admin.lists import ReasonModelForm
from moderation.lists.item_changing import TEXTS
from moderation.lists.models import BannedFingerprint, BannedHash, BannedItem, BannedList, RetroScan

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

ROWS_SHOWN = 24
SHOWN_OF_AN_ITEM = ("list", "state", "opinion", "suspended_at")
RETIRED_ONLY, ACTIVE_ONLY = _("Only retired items change."), _("Only active items change.")


def first_filter(request: HttpRequest) -> str:
    """Return how this person first sees pictures of items; "" for not at all."""
    may_look = can(actor_of(request), "see media")
    return guard().first_filter(access_of(request)) if may_look else ""


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        help_text=_("Recorded in the audit."),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )

    def __init__(self, data: Any, *, items: QuerySet[BannedItem]) -> None:
        super().__init__(data, label_suffix="")
        self.items = items


class OpinionForm(ReasonForm):
    opinion = forms.ChoiceField(
        label=_("Opinion"),
        choices=BannedItem.Opinion.choices,
        help_text=_("A disputed item leads to review at most, a false positive matches nothing."),
        widget=UnfoldAdminSelectWidget,
    )


class MoveForm(ReasonForm):
    """Asks once more before banned items become exceptions."""

    to = ListChoiceField(
        BannedList.objects.order_by("name"),
        label=_("List"),
        help_text=_(
            "From then on its policy applies to them. On a hash-only list their pictures "
            "are deleted."
        ),
        widget=UnfoldAdminSelectWidget,
    )
    override = forms.BooleanField(
        required=False, label=_("Let pass what they ban now"), widget=UnfoldBooleanWidget
    )

    def __init__(self, data: Any, *, items: QuerySet[BannedItem]) -> None:
        super().__init__(data, items=items)
        banned = items.filter(list__kind=BannedList.Kind.BANNED)
        onto = whole_number((data or {}).get("to", "")) or 0
        is_allowed = BannedList.objects.filter(pk=onto, kind=BannedList.Kind.ALLOW).exists()
        self.banned = banned.count() if is_allowed else 0
        if not self.banned:
            del self.fields["override"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.banned and not cleaned.pop("override", False):
            self.add_error(
                "override",
                ngettext(
                    "This is an allow list, and %(banned)s of these items is banned now. Tick "
                    "this to let the same files pass from now on.",
                    "This is an allow list, and %(banned)s of these items are banned now. Tick "
                    "this to let the same files pass from now on.",
                    self.banned,
                )
                % {"banned": f"{self.banned:,}"},
            )
        return cleaned


@dataclass(frozen=True)
class Command:
    """An action: its button, the title of the page that asks, what it says afterwards, and its
    form. ``title`` and ``done`` have a ``number``, chosen by ``count``."""

    button: _StrPromise
    title: _StrPromise
    done: _StrPromise
    run: Callable[..., int]
    form: type[ReasonForm] = ReasonForm
    hint: _StrPromise | str = ""


COMMANDS = {
    "retire": Command(
        _("Retire"),
        ngettext_lazy("Retire %(number)s item?", "Retire %(number)s items?", "count"),
        ngettext_lazy("%(number)s item retired.", "%(number)s items retired.", "count"),
        item_changing.retire,
        hint=ACTIVE_ONLY,
    ),
    "activate": Command(
        _("Activate"),
        ngettext_lazy("Activate %(number)s item?", "Activate %(number)s items?", "count"),
        ngettext_lazy("%(number)s item activated.", "%(number)s items activated.", "count"),
        item_changing.activate,
        hint=RETIRED_ONLY,
    ),
    "give_opinion": Command(
        _("Give opinion"),
        ngettext_lazy("Give opinion %(number)s item?", "Give opinion %(number)s items?", "count"),
        ngettext_lazy("%(number)s item changed.", "%(number)s items changed.", "count"),
        item_changing.give_opinion,
        OpinionForm,
    ),
    "move": Command(
        _("Move"),
        ngettext_lazy("Move %(number)s item?", "Move %(number)s items?", "count"),
        ngettext_lazy("%(number)s item moved.", "%(number)s items moved.", "count"),
        item_changing.move,
        MoveForm,
    ),
    "suspend": Command(
        _("Suspend"),
        ngettext_lazy("Suspend %(number)s item?", "Suspend %(number)s items?", "count"),
        ngettext_lazy("%(number)s item suspended.", "%(number)s items suspended.", "count"),
        item_changing.suspend,
        hint=_("They lead to review at most until lifted."),
    ),
    "lift_suspension": Command(
        _("Lift suspension"),
        ngettext_lazy(
            "Lift suspension %(number)s item?", "Lift suspension %(number)s items?", "count"
        ),
        ngettext_lazy("%(number)s item released.", "%(number)s items released.", "count"),
        item_changing.lift_suspension,
    ),
}


def _file(request: HttpRequest, chosen: QuerySet[BannedItem], format: str) -> HttpResponseBase:
    plain = BannedItem.objects.filter(pk__in=chosen.order_by().values("pk"))
    name, pieces = exporting.export_items(by=actor_of(request), items=plain, format=format)
    return download(name, pieces, exporting.CONTENT_TYPES[exporting.Format(format)])


HASHES_SHOWN = 100
MATCHES_SHOWN = 10
SCANS_SHOWN = 3
STATES = {"active": "success", "retired": "info"}
OPINIONS = {"confirmed": "danger", "disputed": "warning", "false positive": "success"}


class SuspendedFilter(YesNoFilter):
    title = _("suspended")
    parameter_name = "suspended"
    condition = Q(suspended_at__isnull=False)


class SourceFilter(TextFilter):
    """Filters by one exact source. A list of all sources would need a scan of the whole table."""

    title = _("source")
    parameter_name = "source"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[BannedItem]
    ) -> QuerySet[BannedItem]:
        return queryset.filter(source=self.value()) if self.value() else queryset


class ItemForm(ReasonModelForm):
    tags = SimpleArrayField(
        forms.CharField(max_length=255),
        label=_("Tags"),
        required=False,
        help_text=_("Separated by commas."),
        widget=UnfoldAdminTextInputWidget,
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    class Meta:
        model = BannedItem
        fields = list(TEXTS)


@admin.register(BannedItem)
class BannedItemAdmin(RoleModelAdmin):
    """Pictures come from the console, which records each unfiltered view."""

    add_action = change_action = "edit items"
    form = ItemForm
    fields = [("category", "severity"), "owner", "tags", "note", "expires_at", "reason"]
    change_form_outer_before_template = "moderation/lists/item.html"
    list_display = [
        "number",
        "shown_picture",
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
        ("created_at", DaysFilter),
    ]
    list_select_related = ["list"]
    sortable_by = ["number"]
    search_fields = ["pk"]
    search_help_text = _("An id, a source's id, or a whole hash: md5, sha1, sha256 or pdq.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BannedItem]:
        """Prefetch the hashes of whole files, without those of a video's frames."""
        of_all = BannedHash.objects.filter(time_ms=None).order_by("id")
        rows: QuerySet[BannedItem] = super().get_queryset(request)
        # Rows know how this person sees pictures: an admin serves several people at once.
        return rows.annotate(
            first_filter=Value(first_filter(request), output_field=CharField())
        ).prefetch_related(Prefetch("hashes", of_all, to_attr="of_all"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BannedItem], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find only exact matches, each through an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = Q(source_id=term)
        if len(term) >= 32:
            named |= Q(pk__in=BannedHash.objects.valued([term.lower()]).values("item"))
        if term.isascii() and term.isdigit() and len(term) < 19:
            named |= Q(pk=term)
        return queryset.filter(named), False

    @display(description=_("item"), ordering="pk")
    def number(self, item: BannedItem) -> int:
        return item.pk

    @display(description=_("picture"))
    def shown_picture(self, item: BannedItem) -> str:
        context = {"item": item, "first_filter": item.first_filter}  # type: ignore[attr-defined]
        return render_to_string("moderation/lists/_picture.html", context)

    @display(description=_("state"), label=STATES)
    def shown_state(self, item: BannedItem) -> tuple[str, str]:
        words = {"state": word(item.state)}
        suspended = gettext("%(state)s, suspended") % words
        return item.state, suspended if item.suspended_at else words["state"]

    @display(description=_("our opinion"), label=OPINIONS)
    def shown_opinion(self, item: BannedItem) -> tuple[str, str] | None:
        if item.opinion == BannedItem.Opinion.NONE:
            return None
        return item.opinion.replace("_", " "), str(item.get_opinion_display()).lower()

    @display(description=_("known by"), header=True)
    def known_by(self, item: BannedItem) -> Sequence[str]:
        hashes = item.of_all  # type: ignore[attr-defined]
        kinds = ", ".join(dict.fromkeys(one.kind for one in hashes)) or "–"
        what = gettext("picture kept") if item.picture else gettext("hashes only")
        if item.media == BannedItem.Media.UNKNOWN:
            return kinds, what
        return kinds, gettext(", ").join([word(item.media), what])

    @display(description=_("source"), header=True)
    def from_source(self, item: BannedItem) -> Sequence[str]:
        return item.source or gettext("ours"), item.source_id

    @display(description=_("tags"))
    def shown_tags(self, item: BannedItem) -> str:
        return ", ".join(item.tags)

    @display(description=_("added"))
    def added(self, item: BannedItem) -> str:
        return times.when(item.created_at)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {
            "first_filter": first_filter(request),
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
            "title": gettext("Add items"),
            "opts": self.opts,
            "form": form,
            "outcomes": outcomes,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "moderation/lists/add_items.html", context)

    def save_model(self, request: HttpRequest, obj: BannedItem, form: Any, change: bool) -> None:
        item_changing.change_item(
            by=actor_of(request),
            item_id=obj.pk,
            reason=form.cleaned_data["reason"],
            **form.given(),
        )

    actions = [*COMMANDS, "export_csv", "export_lines"]

    def has_edit_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "edit items")

    def has_opine_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "give opinions")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "export lists")

    @admin.action(description=_("Retire"), permissions=["edit"])
    def retire(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        return self._run(request, queryset, "retire")

    @admin.action(description=_("Activate"), permissions=["edit"])
    def activate(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        return self._run(request, queryset, "activate")

    @admin.action(description=_("Give opinion"), permissions=["opine"])
    def give_opinion(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        return self._run(request, queryset, "give_opinion")

    @admin.action(description=_("Move to another list"), permissions=["edit"])
    def move(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        return self._run(request, queryset, "move")

    @admin.action(description=_("Suspend"), permissions=["edit"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        return self._run(request, queryset, "suspend")

    @admin.action(description=_("Lift suspension"), permissions=["edit"])
    def lift_suspension(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        return self._run(request, queryset, "lift_suspension")

    @admin.action(description=_("Export as CSV"), permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> HttpResponseBase:
        return _file(request, queryset, "csv")

    @admin.action(description=_("Export hashes alone"), permissions=["export"])
    def export_lines(
        self, request: HttpRequest, queryset: QuerySet[BannedItem]
    ) -> HttpResponseBase:
        return _file(request, queryset, "plain")

    def _run(
        self, request: HttpRequest, chosen: QuerySet[BannedItem], name: str
    ) -> HttpResponseBase | None:
        """Ask for confirmation, or run the command if the user has confirmed exactly this page."""
        command = COMMANDS[name]
        selection = Selection(request, name, chosen, SHOWN_OF_AN_ITEM)
        count = len(selection.ids)
        form = command.form(request.POST if selection.is_asked else None, items=chosen)
        if selection.is_asked and not selection.is_confirmed:
            messages.warning(request, CHANGED)
        elif selection.is_asked and form.is_valid():
            given = dict(form.cleaned_data)
            if "to" in given:
                given["list_id"] = given.pop("to").pk
            plain = BannedItem.objects.filter(pk__in=selection.ids)
            try:
                done = command.run(by=actor_of(request), items=plain, **given)
            except UserError as error:
                messages.error(request, error.message)
                return None
            if done:
                messages.success(request, command.done % _counted(done))
            if done < count:
                left = _counted(count - done)
                text = ngettext(
                    "%(number)s item not changed.", "%(number)s items not changed.", left["count"]
                )
                messages.warning(request, f"{text % left} {command.hint}")
            return None
        return self._ask(request, chosen, name, form, selection)

    def _ask(
        self,
        request: HttpRequest,
        chosen: QuerySet[BannedItem],
        name: str,
        form: ReasonForm,
        selection: Selection,
    ) -> TemplateResponse:
        count = len(selection.ids)
        by_list = chosen.order_by("list__name").values_list("list__name").annotate(Count("pk"))
        context = {
            **self.admin_site.each_context(request),
            "title": COMMANDS[name].title % _counted(count),
            "opts": BannedItem._meta,
            "form": form,
            "command": COMMANDS[name],
            "action_name": name,
            "count": count,
            "token": selection.token,
            "back": request.get_full_path(),
            "by_list": list(by_list),
            "items": chosen.select_related("list")[:ROWS_SHOWN],
            "first_filter": first_filter(request),
            "more": max(0, count - ROWS_SHOWN),
            "select_across": request.POST.get("select_across") == "1",
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        }
        return TemplateResponse(request, "moderation/lists/change_items.html", context)


def _counted(count: int) -> dict[str, Any]:
    return {"count": count, "number": f"{count:,}"}


def facts_of(pk: int) -> dict[str, Any]:
    hashes = BannedHash.objects.filter(item=pk)
    vectors = BannedFingerprint.objects.filter(item=pk).order_by().values("version")
    item = BannedItem.objects.filter(pk=pk).first()
    return {
        "hashes": hashes.order_by("time_ms", "id")[:HASHES_SHOWN],
        "more_hashes": max(0, hashes.count() - HASHES_SHOWN),
        "vectors": vectors.annotate(count=Count("pk")).order_by("version"),
        "found": item.matches.order_by("-id")[:MATCHES_SHOWN] if item else [],
        "open_cases": item.matches.filter(case__decided_at=None)
        .exclude(case=None)
        .aggregate(count=Count("case", distinct=True))["count"]
        if item
        else 0,
        "scans": RetroScan.objects.filter(item=pk).order_by("-id")[:SCANS_SHOWN],
    }
