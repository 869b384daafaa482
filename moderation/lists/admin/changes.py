"""The admin of list changes that wait for a second person."""

from __future__ import annotations

from typing import Any

import orjson
from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gallery.admin.listing import DaysFilter
from gallery.shared.times import when
from moderation.access.admin import RoleModelAdmin
from moderation.access.numbers import whole_number
from moderation.access.permissions import actor_of
from moderation.access.words import word
from moderation.lists import list_changes
from moderation.lists.admin.items import ROWS_SHOWN, first_filter
from moderation.lists.models import BannedItem, ListChange

CONFIRM, REFUSE = "confirm", "refuse"


class AnswerForm(forms.ModelForm):
    """The decision about a change, and its reason."""

    decision = forms.ChoiceField(
        label=_("Decision"),
        choices=[
            ("", "—"),
            (CONFIRM, _("Make the change")),
            (REFUSE, _("Leave the list as it is")),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    because = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        help_text=_("Recorded in the audit."),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = ListChange
        fields: list[str] = []


@admin.register(ListChange)
class ListChangeAdmin(RoleModelAdmin):
    """Everybody who may see lists can see the changes. A lead or an admin decides."""

    form = AnswerForm
    change_form_outer_before_template = "moderation/lists/change_request.html"
    change_action = "edit lists"
    list_display = ["number", "list_name", "shown_weakens", "asked_by", "shown_state", "asked_at"]
    list_display_links = ["number"]
    list_filter = ["state", ("created_at", DaysFilter)]
    shown_fields = [
        "list", "list_name", "command", "shown_weakens", "shown_arguments", "reason", "asked_by",
        "created_at", "expires_at", "state", "decided_by", "decided_at", "answer",
    ]  # fmt: skip
    readonly_fields = shown_fields

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the items that the change is about, too: who confirms it should see them."""
        row = ListChange.objects.filter(pk=whole_number(object_id) or 0).first()
        given = row.arguments if row else {}
        ids = given.get("ids") or [given[name] for name in ("item_id",) if name in given]
        context = {
            "items": BannedItem.objects.filter(pk__in=ids).order_by("pk")[:ROWS_SHOWN],
            "more": max(0, len(ids) - ROWS_SHOWN),
            "first_filter": first_filter(request),
            **(extra_context or {}),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        asked = ["decision", "because"] if self.has_change_permission(request, obj) else []
        return [*self.shown_fields, *asked]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        waits = obj is None or obj.state == ListChange.State.WAITING
        return waits and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: ListChange, form: Any, change: bool) -> None:
        given = form.cleaned_data
        decide = list_changes.confirm if given["decision"] == CONFIRM else list_changes.refuse
        decide(by=actor_of(request), change_id=obj.pk, reason=given["because"])

    @display(description=_("change"), ordering="pk")
    def number(self, row: ListChange) -> int:
        return row.pk

    @display(description=_("what it lets through"))
    def shown_weakens(self, row: ListChange) -> str:
        return "; ".join(row.weakens)

    @display(description=_("asked"), ordering="pk")
    def asked_at(self, row: ListChange) -> str:
        return when(row.created_at)

    @display(description=_("in full"))
    def shown_arguments(self, row: ListChange) -> str:
        return orjson.dumps(row.arguments).decode()

    @display(
        description=_("state"),
        label={"waiting": "warning", "applied": "success", "refused": "info"},
    )
    def shown_state(self, row: ListChange) -> tuple[str, str]:
        return row.state, word(row.state)
