"""The admin of lists: policies, thresholds, and deletion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
    UnfoldBooleanWidget,
)

from gallery.admin.selection import CHANGED, Selection
from gallery.items import retention
from gallery.shared.errors import UserError
from moderation.access.admin import RoleModelAdmin
from moderation.access.permissions import actor_of
from moderation.lists import list_writes, thresholds
from moderation.lists.models import BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import Severity

ROWS_SHOWN = 24


class DeletionForm(forms.Form):
    reason = forms.CharField(
        max_length=1000,
        help_text="Recorded in the audit.",
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    override = forms.BooleanField(label="Also what cases need", required=True,
                                  widget=UnfoldBooleanWidget)  # fmt: skip

    def __init__(self, data: Any, *, needed: bool) -> None:
        super().__init__(data, label_suffix="")
        if not needed:
            del self.fields["override"]


ACTIONS = {"block": "danger", "review": "warning", "shadow": "info"}
SEVERITIES = {"critical": "danger", "high": "danger", "medium": "warning", "low": "info"}


class ReasonModelForm(forms.ModelForm):
    reason = forms.CharField(
        required=False,
        max_length=1000,
        help_text="Why you change it; recorded in the audit.",
        widget=UnfoldAdminTextInputWidget,
    )

    def given(self) -> dict[str, Any]:
        """Return the changed fields, without the reason."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name != "reason"}


class ListForm(ReasonModelForm):
    class Meta:
        model = BannedList
        fields = [*list_writes.FIELDS, "allows_for"]
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = {name: cleaned[name] for name in list_writes.FIELDS if name in cleaned}
        for problem in list_writes.list_problems(
            BannedList(**given), cleaned.get("allows_for", ())
        ):
            if problem.field in self.fields:
                self.add_error(problem.field, problem.message)
        return cleaned


class MethodForm(forms.ModelForm):
    class Meta:
        model = ListMethod
        fields = [*list_writes.METHOD_FIELDS]
        widgets = {"enabled": UnfoldBooleanSwitchWidget, "may_block": UnfoldBooleanSwitchWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The cells of the table have no labels.
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = f"{self.instance.match_type}: {field.label or name}"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = {name: cleaned[name] for name in list_writes.METHOD_FIELDS if name in cleaned}
        method = ListMethod(match_type=self.instance.match_type, **given)
        for problem in list_writes.method_problems(method):
            self.add_error(problem.field, problem.message)
        return cleaned


class MethodInline(TabularInline):
    model = ListMethod
    form = MethodForm
    fields = ["match_type", "enabled", "threshold", "observe", "shown_default", "may_block"]
    readonly_fields = ["match_type", "shown_default"]
    verbose_name_plural = "match types"
    can_delete = False
    extra = 0
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site._registry[BannedList].has_view_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site._registry[BannedList].has_change_permission(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Each list already has one row for each match type."""
        return False

    @display(description="default threshold, observe")
    def shown_default(self, method: ListMethod) -> str:
        default = thresholds.DEFAULTS[method.match_type]
        return f"{default.threshold:.4g}, {default.near_miss:.4g}"


@admin.register(BannedList)
class BannedListAdmin(RoleModelAdmin):
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
                    ("enabled", "hold_on_review"),
                    ("two_person", "hash_only"),
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
        active = BannedItem.objects.filter(list=OuterRef("pk"), state=BannedItem.State.ACTIVE)
        counted = active.order_by().values("list").annotate(count=Count("pk")).values("count")
        rows: QuerySet[BannedList] = super().get_queryset(request)
        return rows.annotate(active=Coalesce(Subquery(counted, output_field=IntegerField()), 0))

    def get_inlines(self, request: HttpRequest, obj: BannedList | None) -> list[Any]:
        """A new list has no methods yet."""
        return [] if obj is None else super().get_inlines(request, obj)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """An allow list has priority over banned lists only."""
        kwargs["queryset"] = BannedList.objects.filter(kind=BannedList.Kind.BANNED)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description="list", ordering="name", header=True)
    def shown_name(self, row: BannedList) -> Sequence[str]:
        kind = "allow list" if row.is_allow_list else "banned"
        return row.name, ", ".join(filter(None, [kind, row.category]))

    @display(description="action", label=ACTIONS)
    def shown_action(self, row: BannedList) -> str | None:
        return row.action if not row.is_allow_list else None

    @display(description="severity", ordering="severity", label=SEVERITIES)
    def shown_severity(self, row: BannedList) -> str:
        return Severity(row.severity).name.lower()

    @display(description="holds", boolean=True)
    def held(self, row: BannedList) -> bool:
        return row.hold_on_review

    @display(description="active items")
    def active_items(self, row: BannedList) -> str:
        return format_html(
            '<a href="{}?list__id__exact={}">{}</a>',
            reverse("admin:moderation_banneditem_changelist"),
            row.pk,
            f"{row.active:,}",  # type: ignore[attr-defined]
        )

    def save_model(self, request: HttpRequest, obj: BannedList, form: Any, change: bool) -> None:
        by, reason, given = actor_of(request), form.cleaned_data["reason"], form.given()
        if "allows_for" in given:
            given["allows_for"] = [row.pk for row in given["allows_for"]]
        if change:
            list_writes.change_list(by=by, list_id=obj.pk, reason=reason, **given)
        else:
            obj.pk = list_writes.create_list(by=by, reason=reason, **given).pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the changed methods. The service has already set ``allows_for``."""
        for method_form in (one for formset in formsets for one in formset.forms):
            if method_form.changed_data:
                list_writes.change_method(
                    by=actor_of(request),
                    list_id=form.instance.pk,
                    match_type=method_form.instance.match_type,
                    reason=form.cleaned_data["reason"],
                    **{name: method_form.cleaned_data[name] for name in method_form.changed_data},
                )

    def construct_change_message(self, request: HttpRequest, form: Any, *args: Any) -> str:
        """Return only the reason, because the audit records what changed."""
        return str(form.cleaned_data.get("reason", ""))

    actions = ["delete_lists"]

    @admin.action(description="Delete…", permissions=["delete"])
    def delete_lists(
        self, request: HttpRequest, queryset: QuerySet[BannedList]
    ) -> HttpResponse | None:
        return self._ask(request, queryset, request.get_full_path())

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any) -> HttpResponse:
        """Show the same page as ``delete_lists`` for one list."""
        row = self.get_object(request, object_id)
        if row is None:
            gone: HttpResponse = self._get_obj_does_not_exist_redirect(
                request, BannedList._meta, object_id
            )
            return gone
        if not self.has_delete_permission(request, row):
            raise PermissionDenied
        changelist = reverse("admin:moderation_bannedlist_changelist")
        back = reverse("admin:moderation_bannedlist_change", args=[row.pk])
        answer = self._ask(request, BannedList.objects.filter(pk=row.pk), back)
        return answer or HttpResponseRedirect(changelist)

    def _ask(
        self, request: HttpRequest, rows: QuerySet[BannedList], back: str
    ) -> HttpResponse | None:
        """Show what would be deleted. Delete it if the user has confirmed exactly this page."""
        counted = rows.order_by("name").annotate(count=Count("items"))
        going = list(counted.values_list("pk", "name", "count"))
        needing = list_writes.cases_needing(pk for pk, _, _ in going)
        selection = Selection(request, "delete", rows, ["version"])
        selection.says([going, list(needing)])
        form = DeletionForm(request.POST if selection.is_asked else None, needed=bool(needing))
        if selection.is_asked and not selection.is_confirmed:
            messages.warning(request, CHANGED)
        elif selection.is_asked and form.is_valid():
            try:
                list_writes.delete_lists(
                    by=actor_of(request), list_ids=selection.ids, with_items=True,
                    **form.cleaned_data,
                )  # fmt: skip
            except UserError as error:
                messages.error(request, error.message)
            else:
                names = ", ".join(name for _, name, _ in going)
                messages.success(request, f"Deleted: {names}.")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"Delete {going[0][1] if len(going) == 1 else f'{len(going)} lists'}?",
            "opts": BannedList._meta,
            "lists": going,
            "needing": [{"pk": pk, "words": why.text} for pk, why in needing.items()][:ROWS_SHOWN],
            "counts": retention.counts(needing),
            "more": max(0, len(needing) - ROWS_SHOWN),
            "form": form,
            "token": selection.token,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across") == "1",
            "back": back,
        }
        return TemplateResponse(request, "moderation/lists/delete_lists.html", context)
