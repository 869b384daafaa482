"""The admin of lists: policies, thresholds, and deletion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
    UnfoldBooleanWidget,
)

from gallery.admin.confirmation import asked
from gallery.admin.selection import CHANGED, Selection
from gallery.items import retention
from gallery.shared import readable
from gallery.shared.errors import UserError
from moderation.access.admin import RoleModelAdmin
from moderation.access.permissions import actor_of
from moderation.access.words import word
from moderation.lists import list_writes, thresholds
from moderation.lists.models import BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES, Action, Severity

ROWS_SHOWN = 24


class DeletionForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        help_text=_("Recorded in the audit."),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    override = forms.BooleanField(label=_("Also what cases need"), required=True,
                                  widget=UnfoldBooleanWidget)  # fmt: skip

    def __init__(self, data: Any, *, needed: bool) -> None:
        super().__init__(data, label_suffix="")
        if not needed:
            del self.fields["override"]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=1000,
        help_text=_("Recorded in the audit. A critical list is not weakened without one."),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")


ACTIONS = {"block": "danger", "review": "warning", "shadow": "info"}
SEVERITIES = {"critical": "danger", "high": "danger", "medium": "warning", "low": "info"}


class ReasonModelForm(forms.ModelForm):
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=1000,
        help_text=_("Why you change it; recorded in the audit."),
        widget=UnfoldAdminTextInputWidget,
    )

    def given(self) -> dict[str, Any]:
        """Return the changed fields, without the reason."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name != "reason"}


KINDS = (
    ("banned", _("banned: what matches it is reviewed or blocked")),
    ("allow", _("allow: the files that it holds are let through")),
)
DOES = (
    ("shadow", _("shadow: only record what it would have done")),
    ("review", _("review: a person has to decide")),
    ("block", _("block: never published")),
)
BANNED, ALLOWS = "kind != 'allow'", "kind == 'allow'"
ACTS = f"{BANNED} && action != 'shadow'"


def _if_known(condition: str) -> str:
    """Of a reader the page has no fields to ask."""
    return f"typeof kind === 'undefined' || ({condition})"


class ListForm(ReasonModelForm):
    """What a list is and does. A field that does not fit the kind is hidden by the page, and
    refused by ``list_problems``."""

    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=KINDS,
        initial=BannedList.Kind.BANNED,
        widget=UnfoldAdminSelectWidget,
        help_text=_(
            "An allow list has priority over banned lists. The kind of a list that has items "
            "cannot change. Default: banned."
        ),
    )
    action = forms.ChoiceField(
        label=_("Action"),
        choices=DOES,
        initial=Action.SHADOW,
        widget=UnfoldAdminSelectWidget,
        help_text=_(
            "What a match leads to. Begin in shadow: look at what the list would do, then "
            "let it act. Default: shadow."
        ),
    )

    class Meta:
        model = BannedList
        fields = [*list_writes.FIELDS, "allows_for"]
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        labels = {
            "hold_on_review": _("Hold uploads until decided"),
            "hash_only": _("Hashes only"),
            "two_person": _("Two people decide"),
            "allows_for": _("Has priority over"),
            "flood_limit": _("Flood limit"),
            "observe_share": _("Share of near misses to look at"),
        }
        help_texts = {
            "name": _("What cases, matches and the audit call it."),
            "category": _("What it holds, such as terror or spam. For people alone."),
            "description": _(
                "Where its items come from, and what belongs on it. For people alone."
            ),
            "owner": _("Who answers for it: a name or a team."),
            "severity": _(
                "How urgent its cases are: the queue begins with the highest. A critical "
                "list cannot be weakened by one person alone. Default: medium."
            ),
            "enabled": _("Off: nothing is compared with it. Default: on."),
            "hold_on_review": _(
                "What it sends to review is not published until a person has decided. Default: on."
            ),
            "two_person": _("Each of its cases needs two independent decisions. Default: off."),
            "hash_only": _(
                "No picture, thumbnail or vector of its items is ever stored; switching "
                "it on deletes those that are. Then edited copies are found by hashes alone. "
                "Default: off."
            ),
            "allows_for": _(
                "The banned lists that it outranks. Default: none chosen, which means all."
            ),
            "observe_share": _(
                "Share of the matches beyond the threshold that is queued as samples, "
                "from 0 to 1; in shadow, of all matches. Default: 0.1."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "flood_limit" in self.fields:  # of a reader it is no field
            self.fields["flood_limit"].help_text = gettext(
                "An item that matches more uploads in an hour is suspended: it leads to review "
                "only. Default: empty, which means %(limit)s (FLOOD_LIMIT)."
            ) % {"limit": settings.FLOOD_LIMIT}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = {name: cleaned[name] for name in list_writes.FIELDS if name in cleaned}
        for problem in list_writes.list_problems(
            BannedList(**given), cleaned.get("allows_for", ())
        ):
            if problem.field in self.fields:
                self.add_error(problem.field, problem.message)
        return cleaned


COMPARES = {
    "pdq": _("the look, by a hash that lists exchange"),
    "copy": _("edited copies: cropped, framed, in a collage"),
    "imgsmlr": _("the coarse structure"),
    "clip": _("the meaning"),
}


class MethodForm(forms.ModelForm):
    class Meta:
        model = ListMethod
        fields = [*list_writes.METHOD_FIELDS]
        labels = {"may_block": _("may block alone")}
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


class MethodFormSet(BaseInlineFormSet):
    """A new list gets a form for each match type, as ``create_list`` would make it."""

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs(index)
        if self.instance.pk is None and index is not None:
            match_type = PICTURE_TYPES[index]
            enabled = match_type in thresholds.ON_AT_FIRST
            kwargs["instance"] = ListMethod(match_type=match_type, enabled=enabled)
        return kwargs


class MethodInline(TabularInline):
    model = ListMethod
    form = MethodForm
    formset = MethodFormSet
    fields = ["match_type", "compares", "enabled", "threshold", "observe", "shown_default",
              "may_block"]  # fmt: skip
    readonly_fields = ["match_type", "compares", "shown_default"]
    verbose_name_plural = _("3. By which methods")
    template_before = "moderation/lists/about_methods.html"
    can_delete = False
    max_num = len(PICTURE_TYPES)
    hide_title = True

    def get_extra(self, request: HttpRequest, obj: BannedList | None = None, **kwargs: Any) -> int:
        return len(PICTURE_TYPES) if obj is None else 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site._registry[BannedList].has_view_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site._registry[BannedList].has_change_permission(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A list that is stored has one row for each match type."""
        return obj is None and self.has_change_permission(request)

    @display(description=_("compares"))
    def compares(self, method: ListMethod) -> str:
        return str(COMPARES.get(method.match_type, ""))

    @display(description=_("default threshold, observe"))
    def shown_default(self, method: ListMethod) -> str:
        if method.match_type not in thresholds.DEFAULTS:  # the form that scripts would copy
            return ""
        default = thresholds.DEFAULTS[method.match_type]
        return f"{readable.distance(default.threshold)}, {readable.distance(default.near_miss)}"


@admin.register(BannedList)
class BannedListAdmin(RoleModelAdmin):
    add_action = change_action = "edit lists"
    delete_action = "delete lists"
    form = ListForm
    inlines = [MethodInline]
    fieldsets = [
        (_("1. What it is"), {"fields": ["name", "kind", "category", "description", "owner"]}),
        (
            _("2. What it does"),
            {
                "fields": [
                    "action", "severity", "allows_for", "enabled", "hold_on_review", "two_person",
                    "hash_only", "flood_limit", "observe_share", "reason",
                ]
            },
        ),
    ]  # fmt: skip
    conditional_fields = {
        "action": _if_known(BANNED),
        "severity": _if_known(BANNED),
        "allows_for": _if_known(ALLOWS),
        "hold_on_review": _if_known(ACTS),
        "two_person": _if_known(ACTS),
        "flood_limit": _if_known(BANNED),
        "observe_share": _if_known(BANNED),
    }
    list_before_template = "moderation/lists/before_lists.html"
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

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """An allow list has priority over banned lists only."""
        kwargs["queryset"] = BannedList.objects.filter(kind=BannedList.Kind.BANNED)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description=_("list"), ordering="name", header=True)
    def shown_name(self, row: BannedList) -> Sequence[str]:
        kind = gettext("allow list") if row.is_allow_list else gettext("banned")
        return row.name, gettext(", ").join(filter(None, [kind, row.category]))

    @display(description=_("action"), label=ACTIONS)
    def shown_action(self, row: BannedList) -> tuple[str, str] | None:
        return None if row.is_allow_list else (row.action, word(row.action))

    @display(description=_("severity"), ordering="severity", label=SEVERITIES)
    def shown_severity(self, row: BannedList) -> tuple[str, str]:
        severity = Severity(row.severity).name.lower()
        return severity, word(severity)

    @display(description=_("holds"), boolean=True)
    def held(self, row: BannedList) -> bool:
        return row.hold_on_review

    @display(description=_("active items"))
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

    actions = ["enable_lists", "disable_lists", "delete_lists"]

    @admin.action(description=_("Enable…"), permissions=["change"])
    def enable_lists(
        self, request: HttpRequest, queryset: QuerySet[BannedList]
    ) -> HttpResponse | None:
        rows = queryset.filter(enabled=False)
        return self._switch(
            request,
            rows,
            enabled=True,
            button=ngettext("Enable %(count)s list", "Enable %(count)s lists", rows.count()),
            would=gettext("Uploads are compared with them at once, and stored items are scanned."),
            nothing=gettext("Nothing to do: all of them are enabled already."),
            done=gettext("Enabled: %(lists)s."),
        )

    @admin.action(description=_("Disable…"), permissions=["change"])
    def disable_lists(
        self, request: HttpRequest, queryset: QuerySet[BannedList]
    ) -> HttpResponse | None:
        rows = queryset.filter(enabled=True)
        return self._switch(
            request,
            rows,
            enabled=False,
            button=ngettext("Disable %(count)s list", "Disable %(count)s lists", rows.count()),
            would=gettext(
                "Nothing is compared with them any more. Their items, cases and matches stay."
            ),
            nothing=gettext("Nothing to do: all of them are disabled already."),
            done=gettext("Disabled: %(lists)s."),
        )

    def _switch(
        self,
        request: HttpRequest,
        rows: QuerySet[BannedList],
        *,
        enabled: bool,
        button: str,
        would: str,
        nothing: str,
        done: str,
    ) -> HttpResponse | None:
        """Ask, then switch each list on or off as its own command: one that needs a second person
        waits, and the others are switched."""
        selection = Selection(
            request, "enable" if enabled else "disable", rows, ["name", "version"]
        )
        names = dict(rows.order_by("pk").values_list("pk", "name"))
        if not names:
            messages.warning(request, nothing)
            return None
        form = ReasonForm(request.POST if selection.is_asked else None)
        page = asked(
            self, request, selection, button=button % {"count": len(names)}, would=would,
            lines=sorted(names.values()), form=form, danger=not enabled,
        )  # fmt: skip
        if page is not None:
            return page
        by, reason, switched = actor_of(request), form.cleaned_data["reason"], []
        for pk, name in names.items():
            try:
                list_writes.change_list(by=by, list_id=pk, reason=reason, enabled=enabled)
                switched.append(name)
            except UserError as error:
                messages.error(request, f"{name}: {error.message}")
        if switched:
            messages.success(request, done % {"lists": ", ".join(sorted(switched))})
        return None

    @admin.action(description=_("Delete…"), permissions=["delete"])
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
                messages.success(request, gettext("Deleted: %(lists)s.") % {"lists": names})
            return None
        counts = retention.counts(needing)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Delete %(list)s?") % {"list": going[0][1]}
            if len(going) == 1
            else gettext("Delete %(count)s lists?") % {"count": len(going)},
            "opts": BannedList._meta,
            "lists": going,
            "needing": [{"pk": pk, "words": why.text} for pk, why in needing.items()][:ROWS_SHOWN],
            "counts": counts,
            "needed_as": ", ".join(f"{kind}: {number}" for kind, number in counts),
            "more": max(0, len(needing) - ROWS_SHOWN),
            "form": form,
            "token": selection.token,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across") == "1",
            "back": back,
        }
        return TemplateResponse(request, "moderation/lists/delete_lists.html", context)
