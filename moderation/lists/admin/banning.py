"""The action "add to a banned list" in the admins of images and videos."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gallery.admin.item_admin import ItemAdmin
from gallery.admin.selection import CHANGED, Selection
from gallery.items.image_kind import IMAGE
from gallery.items.kinds import ItemKind
from gallery.shared.errors import UserError
from moderation.access.permissions import actor_of, can
from moderation.lists import item_adding
from moderation.lists.models import BannedList, RetroScan
from videos.items.video_kind import VIDEO

ACTION: Final = "add_to_banned_list"
LABEL: Final = _("Add to a banned list")
MOST: Final = 1000
ROWS_SHOWN: Final = 24


class BanForm(forms.Form):
    to = forms.ModelChoiceField(
        BannedList.objects.filter(kind=BannedList.Kind.BANNED).order_by("name"),
        label=_("List"),
        widget=UnfoldAdminSelectWidget,
    )
    why = forms.CharField(
        label=_("Reason"), max_length=1000, help_text=_("Recorded in the audit."),
        widget=UnfoldAdminTextInputWidget,
    )  # fmt: skip


def attach(kind: ItemKind) -> None:
    """Add the action to the admin of images or videos, for users who may edit items."""
    model_admin: Any = admin.site.get_model_admin(kind.model)

    def may(request: HttpRequest, obj: Any = None) -> bool:
        return can(actor_of(request), "edit items")

    @admin.action(description=LABEL, permissions=["ban"])
    def add_to_banned_list(
        own: Any, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        return _asked_or_done(own, request, queryset)

    model_admin.has_ban_permission = may
    model_admin.actions = [*model_admin.actions, add_to_banned_list]


def _asked_or_done(
    own: ItemAdmin, request: HttpRequest, rows: QuerySet[Any]
) -> HttpResponseBase | None:
    if not can(actor_of(request), "edit items"):
        raise PermissionDenied
    selection = Selection(request, ACTION, rows, ["status"])
    count = len(selection.ids)
    if count > MOST:
        messages.warning(
            request,
            gettext("Nothing was changed: select at most %(most)s at once.")
            % {"most": f"{MOST:,}"},
        )
        return None
    form = BanForm(request.POST if selection.is_asked else None)
    if selection.is_asked and not selection.is_confirmed:
        messages.warning(request, CHANGED)
    elif form.is_valid():
        shown = own.model.objects.filter(pk__in=selection.ids)
        return _add(request, shown, form.cleaned_data)
    context = {
        **own.admin_site.each_context(request),
        "title": gettext("Add %(items)s to a banned list")
        % {"items": own.item_kind.count_text(count)},
        "items": own.item_kind.count_text(count),
        "opts": own.opts,
        "form": form,
        "count": count,
        "token": selection.token,
        "action": ACTION,
        "rows": rows[:ROWS_SHOWN],
        "more": max(0, count - ROWS_SHOWN),
        "select_across": request.POST.get("select_across") == "1",
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "change_url": own.item_kind.admin_view("change"),
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "moderation/lists/ban.html", context)


def _add(request: HttpRequest, rows: QuerySet[Any], chosen: Any) -> HttpResponseBase | None:
    to = chosen["to"]
    try:
        added = item_adding.add_all_stored(
            by=actor_of(request), list_id=to.pk, reason=chosen["why"], items=rows
        )
    except UserError as error:
        messages.error(request, error.message)
        return None
    count = len(added.items)
    if count:
        messages.success(
            request,
            ngettext(
                "%(count)s item added to the list %(list)s.",
                "%(count)s items added to the list %(list)s.",
                count,
            )
            % {"count": count, "list": to.name},
        )
    for refusal in list(added.refused.values())[:5]:
        messages.warning(request, refusal.message)
    if len(added.refused) > 5:
        messages.warning(
            request,
            gettext("%(count)s more were refused.") % {"count": len(added.refused) - 5},
        )
    running = [RetroScan.State.PENDING, RetroScan.State.RUNNING]
    scan = RetroScan.objects.filter(list=to, state__in=running).first()
    return redirect("console:scan", pk=scan.pk) if scan and count else None


attach(IMAGE)
attach(VIDEO)
