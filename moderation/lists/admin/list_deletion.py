"""Deleting lists: a page that says what goes and what still needs it, then one transaction."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from gallery.admin.selection import CHANGED, Selection
from gallery.items import retention
from gallery.shared.errors import UserError
from moderation.access.admin import ByRole
from moderation.access.permissions import actor_of
from moderation.lists import lists, needed
from moderation.lists.models import BannedList

SHOWN = 24


class DeletionForm(forms.Form):
    """Why, and whether also what cases need."""

    reason = forms.CharField(
        max_length=1000,
        help_text="Goes into the audit.",
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    override = forms.BooleanField(label="Also what cases need", required=True,
                                  widget=UnfoldBooleanWidget)  # fmt: skip

    def __init__(self, data: Any, *, needed: bool) -> None:
        super().__init__(data, label_suffix="")
        if not needed:
            del self.fields["override"]


class ListDeletion(ByRole):
    """The button of a list's own page, and the action for several."""

    actions = ["delete_lists"]

    @admin.action(description="Delete…", permissions=["delete"])
    def delete_lists(
        self, request: HttpRequest, queryset: QuerySet[BannedList]
    ) -> HttpResponse | None:
        """Of those that are chosen all or none."""
        return self._ask(request, queryset, reverse("admin:moderation_bannedlist_changelist"))

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any) -> HttpResponse:
        """The same page for one."""
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
        """Say what would be deleted; delete once that very page has been confirmed."""
        counted = rows.order_by("name").annotate(count=Count("items"))
        going = list(counted.values_list("pk", "name", "count"))
        needing = needed.needing(pk for pk, _, _ in going)
        selection = Selection(request, "delete", rows, ["version"])
        selection.says([going, list(needing)])
        form = DeletionForm(request.POST if selection.is_asked else None, needed=bool(needing))
        if selection.is_asked and not selection.is_confirmed:
            messages.warning(request, CHANGED)
        elif selection.is_asked and form.is_valid():
            try:
                lists.delete_lists(
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
            "needing": [{"pk": pk, "words": why.text} for pk, why in needing.items()][:SHOWN],
            "counts": retention.counts(needing),
            "more": max(0, len(needing) - SHOWN),
            "form": form,
            "token": selection.token,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across") == "1",
            "back": back,
        }
        return TemplateResponse(request, "moderation/admin/delete_lists.html", context)
