"""What can be done to many items: each asks for a reason first, then makes one service call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gallery.admin.selection import CHANGED, Selection
from gallery.shared.errors import UserError
from gallery.shared.responses import download
from moderation.access.admin import ByRole
from moderation.access.permissions import actor_of
from moderation.lists import exporting, items
from moderation.lists.models import BannedItem, BannedList

SHOWN = 24
SHOWN_OF_AN_ITEM = ("list", "state", "opinion", "suspended_at")
RETIRED_ONLY, ACTIVE_ONLY = "Only retired items change.", "Only active items change."


def items_text(count: int) -> str:
    """ "1 item", "2 items"."""
    return f"{count:,} item{'' if count == 1 else 's'}"


class ReasonForm(forms.Form):
    """Why, for the audit."""

    reason = forms.CharField(
        max_length=1000,
        help_text="Goes into the audit.",
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )


class OpinionForm(ReasonForm):
    """What we think of the items."""

    opinion = forms.ChoiceField(
        choices=BannedItem.Opinion.choices,
        help_text="A disputed item leads to review at most, a false positive matches nothing.",
        widget=UnfoldAdminSelectWidget,
    )


class MoveForm(ReasonForm):
    """Where to."""

    to = forms.ModelChoiceField(
        BannedList.objects.order_by("name"),
        label="list",
        help_text="They have its policy from then on. On a hash-only list they lose their pictures "
        "for good.",
        widget=UnfoldAdminSelectWidget,
    )


@dataclass(frozen=True)
class Command:
    """An action: its button, what became of the items, and the form that it asks."""

    button: str
    done: str
    run: Callable[..., int]
    form: type[ReasonForm] = ReasonForm
    hint: str = ""


COMMANDS = {
    "retire": Command("Retire", "retired", items.retire, hint=ACTIVE_ONLY),
    "activate": Command("Activate", "activated", items.activate, hint=RETIRED_ONLY),
    "give_opinion": Command("Give opinion", "changed", items.give_opinion, OpinionForm),
    "move": Command("Move", "moved", items.move, MoveForm),
    "suspend": Command(
        "Suspend", "suspended", items.suspend, hint="They lead to review at most until lifted."
    ),
    "lift_suspension": Command("Lift suspension", "released", items.lift_suspension),
}


class ItemActions(ByRole):
    """Bulk actions of items."""

    actions = [*COMMANDS, "export_csv", "export_lines"]

    def has_edit_permission(self, request: HttpRequest) -> bool:
        """Who may change what items are."""
        return self.may(request, "edit items")

    def has_opine_permission(self, request: HttpRequest) -> bool:
        """Who may say what they are worth."""
        return self.may(request, "give opinions")

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Who may take hashes along."""
        return self.may(request, "export lists")

    @admin.action(description="Retire", permissions=["edit"])
    def retire(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        """They match nothing any more."""
        return self._run(request, queryset, "retire")

    @admin.action(description="Activate", permissions=["edit"])
    def activate(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        """Retired items match again."""
        return self._run(request, queryset, "activate")

    @admin.action(description="Give opinion", permissions=["opine"])
    def give_opinion(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        """Confirmed, disputed, false positive, or none."""
        return self._run(request, queryset, "give_opinion")

    @admin.action(description="Move to another list", permissions=["edit"])
    def move(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        """They have the other list's policy."""
        return self._run(request, queryset, "move")

    @admin.action(description="Suspend", permissions=["edit"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        """They lead to review at most."""
        return self._run(request, queryset, "suspend")

    @admin.action(description="Lift suspension", permissions=["edit"])
    def lift_suspension(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> Any:
        """They act as their list says."""
        return self._run(request, queryset, "lift_suspension")

    @admin.action(description="Export as CSV", permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[BannedItem]) -> HttpResponseBase:
        """All that is known of them, to be imported elsewhere."""
        return _file(request, queryset, "csv")

    @admin.action(description="Export hashes alone", permissions=["export"])
    def export_lines(
        self, request: HttpRequest, queryset: QuerySet[BannedItem]
    ) -> HttpResponseBase:
        """Kind and hash of the active ones, a line each."""
        return _file(request, queryset, "plain")

    def _run(
        self, request: HttpRequest, chosen: QuerySet[BannedItem], name: str
    ) -> HttpResponseBase | None:
        """Ask, or do what was asked once that very page has been confirmed."""
        command = COMMANDS[name]
        selection = Selection(request, name, chosen, SHOWN_OF_AN_ITEM)
        count = len(selection.ids)
        form = command.form(request.POST if selection.is_asked else None)
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
            messages.success(request, f"{items_text(done)} {command.done}.")
            if done < count:
                messages.warning(request, f"{items_text(count - done)} left as they were.")
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
            "title": f"{COMMANDS[name].button} {items_text(count)}?",
            "opts": BannedItem._meta,
            "form": form,
            "command": COMMANDS[name],
            "action_name": name,
            "count": count,
            "token": selection.token,
            "by_list": list(by_list),
            "items": chosen.select_related("list")[:SHOWN],
            "more": max(0, count - SHOWN),
            "select_across": request.POST.get("select_across") == "1",
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        }
        return TemplateResponse(request, "moderation/admin/items_action.html", context)


def _file(request: HttpRequest, chosen: QuerySet[BannedItem], format: str) -> HttpResponseBase:
    plain = BannedItem.objects.filter(pk__in=chosen.order_by().values("pk"))
    name, pieces = exporting.export_items(by=actor_of(request), items=plain, format=format)
    return download(name, pieces, exporting.CONTENT_TYPES[exporting.Format(format)])
