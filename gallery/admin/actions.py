"""Admin actions on items: a confirmation page, then one service call.

Images and videos have the same actions. The page lists which items are left out and why, asks
for a reason if nothing else records one, and fixes the selection (``gallery.admin.selection``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from gallery.admin.batch_pages import PREVIEWED_ITEMS, BatchPages, actor
from gallery.admin.selection import CHANGED, Selection
from gallery.items import batches, retention
from gallery.items.changing import delete_items
from gallery.items.item import STATUS_WORDS, Item, Status
from gallery.items.kinds import ItemKind
from gallery.items.models import ItemBatch
from gallery.items.retention import Act, Withheld, WithheldReason
from gallery.shared.access import access_of
from gallery.shared.errors import UserError


@dataclass(frozen=True)
class Command:
    """``run(rows, by=, reason=, override=)`` returns the number of items, or their batch.

    ``done`` and ``would``: sentences about ``%(items)s``. ``exceptions``: conditions that leave
    rows out, each with a reason. ``act``: the act from which rows may be withheld.
    ``asks_reason``: the page asks for a reason. ``is_final``: it cannot be undone.
    """

    label: Any
    done: Any
    would: Any
    run: Callable[..., int | ItemBatch]
    exceptions: tuple[tuple[Q, Any], ...] = ()
    act: Act | None = None
    asks_reason: bool = False
    is_final: bool = False


QUARANTINE, RELEASE, DELETE = _("Quarantine"), _("Release"), _("Delete")


def item_commands(kind: ItemKind) -> dict[str, Command]:
    def quarantine(rows: QuerySet[Any], *, by: str, reason: str, override: bool) -> ItemBatch:
        return batches.move(to=Status.QUARANTINED, items=rows, by=by, reason=reason)

    def release(rows: QuerySet[Any], **given: Any) -> ItemBatch:
        return batches.move(to=Status.READY, items=rows, **given)

    def delete(rows: QuerySet[Any], **given: Any) -> int:
        return delete_items(items=rows, **given)

    not_ready, not_quarantined = ~Q(status=Status.READY), ~Q(status=Status.QUARANTINED)
    return {
        "quarantine": Command(
            QUARANTINE,
            _("%(items)s quarantined."),
            _("%(items)s would be hidden from every search at once. This can be undone."),
            quarantine,
            exceptions=((not_ready, kind.words.only_ready),),
            asks_reason=True,
        ),
        "release": Command(
            RELEASE,
            _("%(items)s released."),
            _("%(items)s would be found by everybody again at once. This can be undone."),
            release,
            exceptions=((not_quarantined, kind.words.only_quarantined),),
            act=Act.RELEASE,
            asks_reason=True,
        ),
        "delete_selected": Command(
            DELETE,
            _("%(items)s deleted."),
            kind.words.deleted,
            delete,
            act=Act.DELETE,
            asks_reason=True,
            is_final=True,
        ),
    }


class CommandForm(forms.Form):
    """The reason and, for administrators, whether to include withheld items."""

    reason = forms.CharField(
        max_length=1000,
        label=_("Reason"),
        help_text=_("Goes into the audit."),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    override = forms.BooleanField(required=False, widget=UnfoldBooleanWidget)

    def __init__(self, data: Any, *, asks_reason: bool, override: str, required: bool) -> None:
        super().__init__(data, label_suffix="")
        if not asks_reason:
            del self.fields["reason"]
        if override:
            self.fields["override"].label = override
            # Without it there would be no item to change.
            self.fields["override"].required = required
        else:
            del self.fields["override"]


@dataclass(frozen=True)
class Chosen:
    """``ids``: the items to change. ``skipped``: reason → number of items left out. ``withheld``:
    item → why it is withheld."""

    ids: list[int]
    skipped: Mapping[str, int]
    withheld: Mapping[int, WithheldReason]


class ItemActions(BatchPages):
    """Bulk actions, and buttons for a single item, in the admin of a kind of item.

    ``button_statuses``: button → the statuses of the items that have it.
    """

    commands: ClassVar[Mapping[str, Command]]
    button_statuses: ClassVar[Mapping[str, frozenset[Status]]]

    def has_release_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only users who may see quarantined items may release them."""
        may_change: bool = self.has_change_permission(request)  # type: ignore[attr-defined]
        return may_change and access_of(request).allows("moderate")

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        item = self.get_object(request, str(object_id))  # type: ignore[attr-defined]
        prefix = f"{self._label}_"
        buttons: list[Any] = super().get_actions_submit_line(request, object_id)  # type: ignore[misc]
        return [
            button
            for button in buttons
            if item and item.status in self.button_statuses[button.action_name.removeprefix(prefix)]
        ]

    @admin.action(description=QUARANTINE, permissions=["change"])
    def quarantine(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self.ask(request, queryset, "quarantine")

    @admin.action(description=RELEASE, permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self.ask(request, queryset, "release")

    @admin.action(description=DELETE, permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self.ask(request, queryset, "delete_selected")

    @action(description=QUARANTINE, permissions=["change"])
    def quarantine_this(self, request: HttpRequest, item: Item) -> Any:
        return self.ask_alone(request, item, "quarantine")

    @action(description=RELEASE, permissions=["release"])
    def release_this(self, request: HttpRequest, item: Item) -> Any:
        return self.ask_alone(request, item, "release")

    def ask(
        self, request: HttpRequest, rows: QuerySet[Any], action: str, *, return_to: str = ""
    ) -> HttpResponseBase | None:
        """Show the confirmation page, or run the command once that page has been confirmed.

        ``return_to``: where to go afterwards, if not to the list. The form is still posted to
        the list, which knows the actions.
        """
        command = self.commands[action]
        selection = Selection(request, action, rows, ["status"])
        chosen = self._chosen(selection.ids, command)
        may = bool(chosen.withheld) and retention.may_override(access_of(request))
        if not chosen.ids and not may:
            self._report_left_out(request, command, chosen)
            return self._back(request, return_to)
        selection.says(sorted((pk, why.text) for pk, why in chosen.withheld.items()))
        clicked = selection.is_asked and not return_to
        withheld = self.item_kind.count_text(len(chosen.withheld))
        form = CommandForm(
            request.POST if clicked else None,
            asks_reason=command.asks_reason,
            override=_("Include what is withheld: %(items)s") % {"items": withheld} if may else "",
            required=not chosen.ids,
        )
        if clicked and not selection.is_confirmed:
            messages.warning(request, CHANGED)
        elif clicked and form.is_valid():
            self._carry_out(request, command, chosen, form.cleaned_data)
            return self._back(request, return_to)
        return self._page(request, rows, action, selection, chosen, form, return_to)

    def _chosen(self, ids: list[int], command: Command) -> Chosen:
        fitting, skipped = set(ids), {}
        for condition, reason in command.exceptions:
            found = self.item_kind.rows(sorted(fitting)).filter(condition)
            out = fitting & set(found.values_list("pk", flat=True))
            if out:
                skipped[reason] = len(out)
            fitting -= out
        withheld: Mapping[int, WithheldReason] = {}
        if command.act is not None:
            rows = self.item_kind.rows(sorted(fitting)).only("pk", "status", "media_deleted_at")
            withheld = retention.withheld(self.item_kind.model, rows, command.act)
        return Chosen(sorted(fitting - set(withheld)), skipped, withheld)

    def _carry_out(
        self, request: HttpRequest, command: Command, chosen: Chosen, given: Mapping[str, Any]
    ) -> None:
        override = bool(given.get("override"))
        ids = sorted([*chosen.ids, *chosen.withheld]) if override else chosen.ids
        if ids:
            try:
                done = command.run(
                    self.item_kind.rows(ids),
                    by=actor(request),
                    reason=given.get("reason", "").strip(),
                    override=override,
                )
            except Withheld as error:
                messages.warning(request, error.explained_to(access_of(request)).message)
                return
            except UserError as error:
                messages.error(request, error.message)
                return
            self._report_done(request, command, done)
        left_out = Chosen(chosen.ids, chosen.skipped, {}) if override else chosen
        self._report_left_out(request, command, left_out)

    def _report_done(self, request: HttpRequest, command: Command, done: int | ItemBatch) -> None:
        if not isinstance(done, ItemBatch):
            messages.success(request, command.done % {"items": self.item_kind.count_text(done)})
            return
        address = self.item_kind.admin_url("batch", done.pk)
        text = command.done % {"items": self.item_kind.count_text(len(done.ids))}
        link = format_html('{} <a href="{}">{}</a>', text, address, _("See or undo it"))
        messages.success(request, link)

    def _report_left_out(self, request: HttpRequest, command: Command, chosen: Chosen) -> None:
        for words, count in chosen.skipped.items():
            items = self.item_kind.count_text(count)
            messages.warning(
                request, _("%(items)s skipped: %(why)s") % {"items": items, "why": words}
            )
        if chosen.withheld:
            withheld = self._withheld_text(chosen.withheld)
            messages.warning(request, " ".join([withheld, gettext("They stay as they are.")]))

    def _page(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        action: str,
        selection: Selection,
        chosen: Chosen,
        form: CommandForm,
        return_to: str,
    ) -> TemplateResponse:
        command, count = self.commands[action], len(chosen.ids)
        kind = self.item_kind
        what = kind.count_text(count) if count else _("withheld items")
        statuses = self.item_kind.rows(chosen.ids).order_by().values_list("status")
        by_status = sorted(statuses.annotate(Count("pk")))
        first = rows.filter(pk__in=chosen.ids[-PREVIEWED_ITEMS:]).order_by("-pk")
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": _("%(action)s %(items)s?") % {"action": command.label, "items": what},
            "opts": kind.model._meta,
            "action_name": action,
            "command": command,
            "would": command.would % {"items": _with_statuses(kind.count_text(count), by_status)},
            "count": count,
            "button": _("%(action)s %(items)s") % {"action": command.label, "items": what},
            "items": first,
            "change_view": kind.admin_view("change"),
            "more": max(0, count - PREVIEWED_ITEMS),
            "skipped": [
                (self.item_kind.count_text(number), words)
                for words, number in chosen.skipped.items()
            ],
            **self._withheld_context(chosen.withheld),
            "form": form,
            "token": selection.token,
            "post_to": kind.admin_url("changelist") if return_to else "",
            "return_to": return_to or _return_to(request),
            "back": return_to or _return_to(request) or request.get_full_path(),
            "select_across": request.POST.get("select_across") == "1",
            "selected": selection.ids if return_to else request.POST.getlist(ACTION_CHECKBOX_NAME),
        }
        return TemplateResponse(request, "gallery/items/confirm.html", context)

    def _back(self, request: HttpRequest, return_to: str) -> HttpResponseBase | None:
        target = return_to or _return_to(request)
        return HttpResponseRedirect(target) if target else None

    def response_change(self, request: HttpRequest, obj: Item) -> HttpResponseBase:
        buttons = self.get_actions_submit_line(request, obj.pk)
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
        rows = self.get_queryset(request).filter(pk=item.pk)  # type: ignore[attr-defined]
        page = back or self.item_kind.admin_url("change", item.pk)
        return self.ask(request, rows, action, return_to=page)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        item = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if item is None:
            gone: HttpResponseBase = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.item_kind.model._meta, object_id
            )
            return gone
        if not self.has_delete_permission(request, item):  # type: ignore[attr-defined]
            raise PermissionDenied
        changelist = self.item_kind.admin_url("changelist")
        answer = self.ask_alone(request, item, "delete_selected", back=changelist)
        return answer or HttpResponseRedirect(changelist)

    def withheld_words(self, request: HttpRequest, object_id: str) -> str:
        """Return why the item cannot be deleted now, for users who may see cases, else ""."""
        if not (object_id.isdecimal() and len(object_id) < 19):
            return ""
        rows = self.item_kind.rows([int(object_id)]).only("pk", "status")
        kept = retention.withheld(self.item_kind.model, rows, Act.DELETE)
        if not kept or not access_of(request).allows("moderate"):
            return ""
        return f"{next(iter(kept.values())).text}: it cannot be deleted until that ends."


def _return_to(request: HttpRequest) -> str:
    """Return the address that the confirmation page sent if it is on this site, else ""."""
    address: str = request.POST.get("return_to", "")
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if address and is_ours else ""


def _with_statuses(items: str, by_status: Sequence[tuple[str, int]]) -> str:
    """Return for example "3 images (2 ready, 1 failed)"."""
    if not by_status:
        return items
    parts = gettext(", ").join(f"{number} {STATUS_WORDS[status]}" for status, number in by_status)
    return gettext("%(items)s (%(statuses)s)") % {"items": items, "statuses": parts}
