"""Commands about many items: a page that says what would be done, then one service call.

Images and videos have the same ones. The page says what is left out and why, asks for a reason
where nothing else records it, and fixes the selection (``gallery.admin.selection``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from gallery.admin.batch_pages import SHOWN, BatchPages, actor
from gallery.admin.selection import CHANGED, Selection
from gallery.items import retention
from gallery.items.item import Item
from gallery.items.models import ItemBatch
from gallery.items.retention import Act, Why, Withheld
from gallery.shared.access import access_of
from gallery.shared.errors import UserError


@dataclass(frozen=True)
class Command:
    """``run(rows, by=, reason=, override=)`` answers how many, or the batch that they are.

    ``leaves``: rows that meet a condition are left out, for a reason. ``act``: what cases may
    withhold rows from. ``asks``: whether a reason is asked for.
    """

    button: str
    done: str
    would: str
    run: Callable[..., int | ItemBatch]
    leaves: tuple[tuple[Q, str], ...] = ()
    act: Act | None = None
    asks: bool = False
    final: bool = False


class CommandForm(forms.Form):
    """Why, and for administrators whether also what is withheld."""

    reason = forms.CharField(
        max_length=1000,
        help_text="Goes into the audit.",
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    override = forms.BooleanField(required=False, widget=UnfoldBooleanWidget)

    def __init__(self, data: Any, *, asks: bool, override: str, alone: bool) -> None:
        super().__init__(data, label_suffix="")
        if not asks:
            del self.fields["reason"]
        if override:
            self.fields["override"].label = override
            # Without it there would be nothing to do.
            self.fields["override"].required = alone
        else:
            del self.fields["override"]


@dataclass(frozen=True)
class Chosen:
    """``ids``: what the command is about; ``left``: words → how many are left out for it;
    ``kept``: what is withheld."""

    ids: list[int]
    left: Mapping[str, int]
    kept: Mapping[int, Why]


class Commands(BatchPages):
    """For the admin of a kind of item, whose actions and buttons call ``ask``."""

    commands: ClassVar[Mapping[str, Command]]
    confirm_template: ClassVar[str]

    def ask(
        self, request: HttpRequest, rows: QuerySet[Any], action: str, *, alone: str = ""
    ) -> HttpResponseBase | None:
        """Show what would be done; do it once that very page has been confirmed.

        ``alone``: the page of the one item that this is about, to which one comes back.
        """
        command = self.commands[action]
        selection = Selection(request, action, rows, ["status"])
        chosen = self._chosen(selection.ids, command)
        may = bool(chosen.kept) and retention.may_override(access_of(request))
        if not chosen.ids and not may:
            self._tell_left(request, command, chosen)
            return self._back(request, alone)
        selection.says(sorted((pk, why.words) for pk, why in chosen.kept.items()))
        clicked = selection.is_asked and not alone
        override = f"Also what is withheld: {self.text(len(chosen.kept))}" if may else ""
        form = CommandForm(
            request.POST if clicked else None,
            asks=command.asks,
            override=override,
            alone=not chosen.ids,
        )
        if clicked and not selection.is_confirmed:
            messages.warning(request, CHANGED)
        elif clicked and form.is_valid():
            self._carry_out(request, command, chosen, form.cleaned_data)
            return self._back(request, alone)
        return self._page(request, rows, action, selection, chosen, form, alone)

    def _chosen(self, ids: list[int], command: Command) -> Chosen:
        fits, left = set(ids), {}
        for condition, words in command.leaves:
            found = self.item_kind.rows(sorted(fits)).filter(condition)
            out = fits & set(found.values_list("pk", flat=True))
            if out:
                left[words] = len(out)
            fits -= out
        kept: Mapping[int, Why] = {}
        if command.act is not None:
            rows = self.item_kind.rows(sorted(fits)).only("pk", "status")
            kept = retention.withheld(self.item_kind.model, rows, command.act)
        return Chosen(sorted(fits - set(kept)), left, kept)

    def _carry_out(
        self, request: HttpRequest, command: Command, chosen: Chosen, given: Mapping[str, Any]
    ) -> None:
        override = bool(given.get("override"))
        ids = sorted([*chosen.ids, *chosen.kept]) if override else chosen.ids
        if ids:
            try:
                done = command.run(
                    self.item_kind.rows(ids),
                    by=actor(request),
                    reason=given.get("reason", "").strip(),
                    override=override,
                )
            except Withheld as error:
                messages.warning(request, error.told_to(access_of(request)).message)
                return
            except UserError as error:
                messages.error(request, error.message)
                return
            self._tell_done(request, command, done)
        left = Chosen(chosen.ids, chosen.left, {}) if override else chosen
        self._tell_left(request, command, left)

    def _tell_done(self, request: HttpRequest, command: Command, done: int | ItemBatch) -> None:
        if not isinstance(done, ItemBatch):
            messages.success(request, f"{self.text(done)} {command.done}.")
            return
        address = reverse(f"admin:{self._label}_batch", args=[done.pk])
        text = f"{self.text(len(done.ids))} {command.done}."
        link = format_html('{} <a href="{}">See or undo it</a>', text, address)
        messages.success(request, link)

    def _tell_left(self, request: HttpRequest, command: Command, chosen: Chosen) -> None:
        for words, count in chosen.left.items():
            messages.warning(request, f"{self.text(count)} skipped: {words}")
        if chosen.kept:
            messages.warning(request, f"{self._kept_words(chosen.kept)} They stay as they are.")

    def _page(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        action: str,
        selection: Selection,
        chosen: Chosen,
        form: CommandForm,
        alone: str,
    ) -> TemplateResponse:
        command, count = self.commands[action], len(chosen.ids)
        opts = self.item_kind.model._meta
        changelist = reverse(f"admin:{self._label}_changelist")
        by_status = self.item_kind.rows(chosen.ids).order_by().values_list("status")
        first = rows.filter(pk__in=chosen.ids[-SHOWN:]).order_by("-pk")
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": f"{command.button} {self.text(count) if count else 'what is withheld'}?",
            "opts": opts,
            "action_name": action,
            "command": command,
            "would": command.would,
            "count": count,
            "counted": self.text(count),
            "by_status": sorted(by_status.annotate(Count("pk"))),
            f"{self.item_kind.name}s": first,
            "more": max(0, count - SHOWN),
            "left": [(self.text(number), words) for words, number in chosen.left.items()],
            **self._kept_context(chosen.kept),
            "form": form,
            "token": selection.token,
            "post_to": changelist if alone else "",
            "alone": alone or request.POST.get("alone", ""),
            "back": alone or _ours(request.POST.get("alone", "")) or request.get_full_path(),
            "select_across": request.POST.get("select_across") == "1",
            "selected": selection.ids if alone else request.POST.getlist(ACTION_CHECKBOX_NAME),
        }
        return TemplateResponse(request, self.confirm_template, context)

    def _back(self, request: HttpRequest, alone: str) -> HttpResponseBase | None:
        """To the item's page, if one came from there and it still is; else to the list."""
        target = alone or _ours(request.POST.get("alone", ""))
        return HttpResponseRedirect(target) if target else None

    # --- One item -------------------------------------------------------------------------

    def response_change(self, request: HttpRequest, obj: Item) -> HttpResponseBase:
        """After saving, what the pressed button asks for."""
        buttons = self.get_actions_submit_line(request, obj.pk)  # type: ignore[attr-defined]
        for button in buttons:
            if button.action_name in request.POST:
                answer: HttpResponseBase | None = button.method(request, obj)
                if answer is not None:
                    return answer
        saved: HttpResponseBase = super().response_change(request, obj)  # type: ignore[misc]
        return saved

    def ask_alone(
        self, request: HttpRequest, item: Item, action: str, *, back: str = ""
    ) -> HttpResponseBase | None:
        """The same from an item's own page."""
        rows = self.get_queryset(request).filter(pk=item.pk)  # type: ignore[attr-defined]
        page = back or reverse(f"admin:{self._label}_change", args=[item.pk])
        return self.ask(request, rows, action, alone=page)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        """The same page as for many."""
        item = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if item is None:
            gone: HttpResponseBase = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.item_kind.model._meta, object_id
            )
            return gone
        if not self.has_delete_permission(request, item):  # type: ignore[attr-defined]
            raise PermissionDenied
        changelist = reverse(f"admin:{self._label}_changelist")
        answer = self.ask_alone(request, item, "delete_selected", back=changelist)
        return answer or HttpResponseRedirect(changelist)

    def withheld_words(self, request: HttpRequest, object_id: str) -> str:
        """Why the item cannot be deleted now, for those who may see cases."""
        if not (object_id.isdecimal() and len(object_id) < 19):
            return ""
        rows = self.item_kind.rows([int(object_id)]).only("pk", "status")
        kept = retention.withheld(self.item_kind.model, rows, Act.DELETE)
        if not kept or not access_of(request).allows("moderate"):
            return ""
        return f"{next(iter(kept.values())).words}: it is not deleted before that is over."


def _ours(address: str) -> str:
    """The address if it is one of our pages, else ""."""
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if address and is_ours else ""
