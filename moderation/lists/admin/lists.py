"""The pages of lists: the policy of each, and its thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from moderation.access.permissions import actor_of
from moderation.lists import lists, thresholds
from moderation.lists.admin.list_deletion import ListDeletion
from moderation.lists.models import BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import PROVING, Severity

ACTIONS = {"block": "danger", "review": "warning", "shadow": "info"}
SEVERITIES = {"critical": "danger", "high": "danger", "medium": "warning", "low": "info"}


class ReasonForm(forms.ModelForm):
    """A form whose change has a reason, for the audit."""

    reason = forms.CharField(
        required=False,
        max_length=1000,
        help_text="Why you change it; goes into the audit.",
        widget=UnfoldAdminTextInputWidget,
    )

    def given(self) -> dict[str, Any]:
        """The fields that were changed, without the reason."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name != "reason"}


class ListForm(ReasonForm):
    """What can be set of a list."""

    class Meta:
        model = BannedList
        fields = [*lists.FIELDS, "allows_for"]
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def clean(self) -> dict[str, Any]:
        """What the service would refuse, said beside the field."""
        cleaned: dict[str, Any] = super().clean() or {}
        allow = cleaned.get("kind") == BannedList.Kind.ALLOW
        if cleaned.get("allows_for") and not allow:
            self.add_error("allows_for", "Only an allow list outranks others.")
        if cleaned.get("two_person") and allow:
            self.add_error("two_person", "An allow list has no cases that two could decide.")
        return cleaned


class MethodForm(forms.ModelForm):
    """What can be set of a method."""

    class Meta:
        model = ListMethod
        fields = [*lists.METHOD_FIELDS]
        widgets = {"enabled": UnfoldBooleanSwitchWidget, "may_block": UnfoldBooleanSwitchWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A cell of the table has no label of its own.
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = f"{self.instance.match_type}: {field.label or name}"

    def clean(self) -> dict[str, Any]:
        """What the service would refuse, said beside the field."""
        cleaned: dict[str, Any] = super().clean() or {}
        kind = self.instance.match_type
        largest = thresholds.LARGEST[kind]
        for name in ("threshold", "observe"):
            value = cleaned.get(name)
            if value is not None and not 0 <= value <= largest:
                self.add_error(name, f"A number from 0 to {largest:g}.")
        observe, threshold = cleaned.get("observe"), cleaned.get("threshold")
        if observe is not None and observe < thresholds.effective(kind, threshold).threshold:
            self.add_error("observe", "Nothing is observed nearer than it matches.")
        if cleaned.get("may_block") and kind in PROVING:
            self.add_error("may_block", f"{kind} may block by itself.")
        return cleaned


class MethodInline(TabularInline):
    """The match types, each with its distances."""

    model = ListMethod
    form = MethodForm
    fields = ["match_type", "enabled", "threshold", "observe", "shown_default", "may_block"]
    readonly_fields = ["match_type", "shown_default"]
    verbose_name_plural = "match types"
    can_delete = False
    extra = 0
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As for the list."""
        return bool(self.admin_site._registry[BannedList].has_view_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As for the list."""
        return bool(self.admin_site._registry[BannedList].has_change_permission(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: each list has one row for each."""
        return False

    @display(description="default threshold, observe")
    def shown_default(self, method: ListMethod) -> str:
        """What empty boxes mean."""
        default = thresholds.DEFAULTS[method.match_type]
        return f"{default.threshold:.4g}, {default.near_miss:.4g}"


@admin.register(BannedList)
class BannedListAdmin(ListDeletion):
    """Lists in the admin."""

    add_action = change_action = "edit lists"
    delete_action = "delete lists"
    form = ListForm
    inlines = [MethodInline]
    fieldsets = [
        (None, {"fields": ["name", "kind", "category", "description", "owner"]}),
        (
            "What it does",
            {
                "fields": [
                    ("enabled", "hold_on_review", "two_person", "hash_only"),
                    ("action", "severity"),
                    "allows_for",
                    ("flood_limit", "observe_share"),
                    "reason",
                ]
            },
        ),
    ]
    list_display = [
        "shown_name",
        "shown_action",
        "shown_severity",
        "enabled",
        "held",
        "active_items",
        "owner",
        "version",
    ]
    list_display_links = ["shown_name"]
    list_filter = [
        ("kind", ChoicesCheckboxFilter),
        ("action", ChoicesCheckboxFilter),
        ("severity", ChoicesCheckboxFilter),
        "enabled",
    ]
    search_fields = ["name", "category", "owner"]
    sortable_by = ["shown_name", "shown_severity"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[BannedList]:
        """With the number of active items."""
        active = BannedItem.objects.filter(list=OuterRef("pk"), state=BannedItem.State.ACTIVE)
        counted = active.order_by().values("list").annotate(count=Count("pk")).values("count")
        rows: QuerySet[BannedList] = super().get_queryset(request)
        return rows.annotate(active=Coalesce(Subquery(counted, output_field=IntegerField()), 0))

    def get_inlines(self, request: HttpRequest, obj: BannedList | None) -> list[Any]:
        """A new list has no methods yet."""
        return [] if obj is None else super().get_inlines(request, obj)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """An allow list outranks banned lists alone."""
        kwargs["queryset"] = BannedList.objects.filter(kind=BannedList.Kind.BANNED)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description="list", ordering="name", header=True)
    def shown_name(self, row: BannedList) -> Sequence[str]:
        """Name, kind and category."""
        kind = "allow list" if row.kind == BannedList.Kind.ALLOW else "banned"
        return row.name, ", ".join(filter(None, [kind, row.category]))

    @display(description="action", label=ACTIONS)
    def shown_action(self, row: BannedList) -> str | None:
        return row.action if row.kind == BannedList.Kind.BANNED else None

    @display(description="severity", ordering="severity", label=SEVERITIES)
    def shown_severity(self, row: BannedList) -> str:
        return Severity(row.severity).name.lower()

    @display(description="holds", boolean=True)
    def held(self, row: BannedList) -> bool:
        """Whether what it sends to review waits."""
        return row.hold_on_review

    @display(description="active items")
    def active_items(self, row: BannedList) -> str:
        """Their number, linked to them."""
        return format_html(
            '<a href="{}?list__id__exact={}">{}</a>',
            reverse("admin:moderation_banneditem_changelist"),
            row.pk,
            f"{row.active:,}",  # type: ignore[attr-defined]
        )

    def save_model(self, request: HttpRequest, obj: BannedList, form: Any, change: bool) -> None:
        """One call of a service."""
        by, reason, given = actor_of(request), form.cleaned_data["reason"], form.given()
        if "allows_for" in given:
            given["allows_for"] = [row.pk for row in given["allows_for"]]
        if change:
            lists.change_list(by=by, list_id=obj.pk, reason=reason, **given)
        else:
            obj.pk = lists.create_list(by=by, reason=reason, **given).pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The methods that were changed; the service has set ``allows_for``."""
        for method_form in (one for formset in formsets for one in formset.forms):
            if method_form.changed_data:
                lists.change_method(
                    by=actor_of(request),
                    list_id=form.instance.pk,
                    match_type=method_form.instance.match_type,
                    reason=form.cleaned_data["reason"],
                    **{name: method_form.cleaned_data[name] for name in method_form.changed_data},
                )

    def construct_change_message(self, request: HttpRequest, form: Any, *args: Any) -> str:
        """The audit says what was changed."""
        return str(form.cleaned_data.get("reason", ""))
