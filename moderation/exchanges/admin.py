"""Hash exchanges in the admin: setting up, health, pulls, undoing, feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from gallery.shared import times
from gallery.shared.errors import UserError
from moderation.access.admin import OwnPagesAdmin
from moderation.access.permissions import Actor, actor_of
from moderation.exchanges import editing, feedback, pulling
from moderation.exchanges.clients import CREDENTIALS, URLS, Service
from moderation.exchanges.models import Exchange, Pull
from moderation.lists.admin.choices import ListChoiceField
from moderation.lists.models import BannedList, RetroScan

PULLS_SHOWN = 10
ONLY = {
    "group": (Service.THREATEXCHANGE,),
    "negative_reason": (Service.NCMEC,),
    "minutes": (Service.THREATEXCHANGE, Service.STOPNCII, Service.NCMEC),
    "ask_first": (Service.THREATEXCHANGE, Service.STOPNCII, Service.NCMEC),
    "feedback": (Service.THREATEXCHANGE, Service.STOPNCII, Service.NCMEC),
    "hold_unanswered": (Service.ARACHNID_SHIELD,),
}
"""Fields that only some services have."""

ABOUT = {
    Service.THREATEXCHANGE: gettext_lazy(
        "Meta's exchange, through which GIFCT's hashes come too. Its hashes are stored here."
    ),
    Service.STOPNCII: gettext_lazy(
        "Hashes of intimate pictures that people submitted about themselves. Stored here; who "
        "withdraws a hash is heeded at once."
    ),
    Service.NCMEC: gettext_lazy(
        "Hash sharing of the National Center for Missing & Exploited Children. Its hashes are "
        "stored here."
    ),
    Service.ARACHNID_SHIELD: gettext_lazy(
        "A service of the Canadian Centre for Child Protection that matches hashes itself. It is "
        "asked about each upload: hashes are sent, never pictures."
    ),
}


class ExchangeForm(forms.Form):
    """The fields of one service. Credentials are never shown again."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=100, widget=UnfoldAdminTextInputWidget()
    )
    list = ListChoiceField(
        label=gettext_lazy("List"),
        queryset=BannedList.objects.filter(kind=BannedList.Kind.BANNED),
        widget=UnfoldAdminSelectWidget(),
        empty_label=gettext_lazy("Choose…"),
        help_text=gettext_lazy("Its policy decides what a match leads to."),
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=500,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Only this host is ever spoken to. No redirect is followed."),
    )
    group = forms.CharField(
        label=gettext_lazy("Privacy group"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("The id of the group whose hashes are pulled."),
    )
    minutes = forms.IntegerField(
        label=gettext_lazy("Minutes between pulls"),
        initial=60,
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    ask_first = forms.BooleanField(
        label=gettext_lazy("Ask before a pull is applied"),
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=gettext_lazy(
            "A person sees what a pull would change, and confirms it. What the exchange withdraws "
            "is applied at once in any case."
        ),
    )
    feedback = forms.BooleanField(
        label=gettext_lazy("Give feedback"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=gettext_lazy(
            "The exchange is told what was decided about its items here: confirmed, or not. "
            "Nothing of an upload is sent, and no name."
        ),
    )
    negative_reason = forms.CharField(
        label=gettext_lazy("Reason for negative feedback"),
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy(
            "The id (guid) of a reason from NCMEC's list, sent if an item does not belong on the "
            "list."
        ),
    )
    hold_unanswered = forms.BooleanField(
        label=gettext_lazy("Hold uploads while it does not answer"),
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=gettext_lazy(
            "Uploads that it was not asked about wait for a person. Otherwise they are published, "
            "and only the answer of a check says so. Lists in shadow hold nothing."
        ),
    )
    enabled = forms.BooleanField(
        label=gettext_lazy("Enabled"), required=False, widget=UnfoldBooleanSwitchWidget()
    )

    def __init__(self, service: str, row: Exchange | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.service = service
        for name, services in ONLY.items():
            if service not in services:
                del self.fields[name]
        stored = editing.stored_credentials(row) if row else set()
        kept = gettext_lazy("It is stored. Leave it empty to keep it; it is never shown.")
        for name, label in CREDENTIALS[service].items():
            self.fields[name if name != "feedback" else "feedback_key"] = forms.CharField(
                label=label,
                required=row is None and name != "feedback",
                max_length=1000,
                help_text=kept if name in stored else "",
                widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
            )

    def values(self) -> dict[str, Any]:
        given = self.cleaned_data
        names: tuple[str, ...] = editing.FIELDS
        fields = {name: given[name] for name in names if name in given}
        credentials = {
            name: given[name if name != "feedback" else "feedback_key"]
            for name in CREDENTIALS[self.service]
        }
        return {**fields, "list_id": given["list"].pk, "credentials": credentials}

    def show(self, error: UserError) -> None:
        name = error.field or ""
        if name == "feedback" and "feedback_key" in self.fields:
            name = "feedback_key"
        self.add_error(name if name in self.fields else None, error.message)


@admin.register(Exchange)
class ExchangeAdmin(OwnPagesAdmin):
    """Leads see exchanges and pull. Only admins set them up, with credentials."""

    templates = "moderation/exchanges"
    view_action = "pull from exchanges"
    add_action = change_action = delete_action = "edit exchanges"
    list_display = ["name", "shown_service", "shown_list", "shown_state", "succeeded", "waits"]
    list_select_related = ["list"]
    list_before_template = "moderation/exchanges/before_list.html"
    sortable_by = ["name"]

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            wrapped: Callable[..., HttpResponse] = self.admin_site.admin_view(view)
            return wrapped

        name = "moderation_exchange"
        return [
            path("<int:pk>/pull/", page(self.pull_view), name=f"{name}_pull"),
            path("<int:pk>/ask/", page(self.ask_view), name=f"{name}_ask"),
            path("<int:pk>/undo/", page(self.undo_view), name=f"{name}_undo"),
            path("<int:pk>/feedback/", page(self.feedback_view), name=f"{name}_feedback"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("service"))
    def shown_service(self, row: Exchange) -> str:
        return row.get_service_display()

    @display(description=gettext_lazy("list"))
    def shown_list(self, row: Exchange) -> str:
        return row.list.name

    @display(
        description=gettext_lazy("state"),
        label={"off": "info", "works": "success", "failing": "danger"},
    )
    def shown_state(self, row: Exchange) -> tuple[str, str]:
        return state_of(row)

    @display(description=gettext_lazy("last success"))
    def succeeded(self, row: Exchange) -> str:
        return times.when(row.succeeded_at)

    @display(description=gettext_lazy("waits for a person"))
    def waits(self, row: Exchange) -> str:
        return _("yes") if row.waiting else "–"  # type: ignore[attr-defined]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Exchange]:
        rows: QuerySet[Exchange] = super().get_queryset(request)
        waiting = Pull.objects.filter(exchange=OuterRef("pk"), state=Pull.State.WAITING)
        return rows.annotate(waiting=Exists(waiting))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """First the service, then its fields."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        service = request.GET.get("service", "")
        if service not in Service.values:
            services = [
                {"name": name, "label": label, "about": ABOUT[Service(name)]}
                for name, label in Service.choices
            ]
            return self.own_page(request, "services.html", _("Add an exchange"), services=services)
        initial = {"url": URLS[service], "name": Service(service).label}
        form = ExchangeForm(service, None, request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                row = editing.create_exchange(
                    by=actor_of(request), service=service, **form.values()
                )
                messages.success(request, _("The exchange was added."))
                return redirect("admin:moderation_exchange_change", row.pk)
            except UserError as error:
                form.show(error)
        title = _("Add %(service)s") % {"service": Service(service).label}
        return self.own_page(
            request, "exchange.html", title, form=form, about=ABOUT[Service(service)]
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.existing(int(object_id) if object_id.isdecimal() else 0)
        form = None
        if self.has_change_permission(request):
            names: tuple[str, ...] = editing.FIELDS
            initial = {name: getattr(row, name) for name in names} | {"list": row.list}
            form = ExchangeForm(row.service, row, request.POST or None, initial=initial)
            if request.method == "POST" and form.is_valid():
                try:
                    editing.change_exchange(
                        by=actor_of(request), exchange_id=row.pk, **form.values()
                    )
                    messages.success(request, _("Saved."))
                    return redirect("admin:moderation_exchange_change", row.pk)
                except UserError as error:
                    form.show(error)
        elif request.method == "POST":
            raise PermissionDenied
        pulls = row.pulls.select_related("run", "withdrawals")
        state, words = state_of(row)
        return self.own_page(
            request,
            "exchange.html",
            row.name,
            row=row,
            form=form,
            state=state,
            state_words=words,
            badge={"off": "info", "works": "success", "failing": "danger"}[state],
            pulls=[
                {
                    "pull": pull,
                    "counts": _counts(pull),
                    "records": f"{pull.records:,}",
                    "ask": pull.state == Pull.State.WAITING,
                }
                for pull in pulls[:PULLS_SHOWN]
            ],
            asking=RetroScan.objects.filter(list=row.list, asked__isnull=False).first()
            if row.is_remote
            else None,
            undoable=None if row.is_remote else pulling.latest_undoable(row),
            numbers=feedback.numbers(row),
            delete=reverse("admin:moderation_exchange_delete", args=[row.pk])
            if self.has_delete_permission(request)
            else "",
        )

    def pull_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def pull(by: Actor) -> str:
            again = request.POST.get("from_start") == "1"
            editing.pull_now(by=by, exchange_id=pk, from_start=again)
            return _("The exchange is pulled from in the background.")

        return self._do(request, pk, pull)

    def ask_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def ask(by: Actor) -> str:
            editing.ask_about_stored(by=by, exchange_id=pk)
            return _("The service is asked about all that is stored, in the background.")

        return self._do(request, pk, ask)

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def undo(by: Actor) -> str:
            pulling.undo(by=by, exchange_id=pk, reason=request.POST.get("reason", ""))
            return _("The pull was undone, and the exchange is switched off.")

        return self._do(request, pk, undo)

    def feedback_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def again(by: Actor) -> str:
            count = feedback.try_again(by=by, exchange_id=pk)
            return _("%(count)s will be sent again.") % {"count": count}

        return self._do(request, pk, again)

    def delete_model(self, request: HttpRequest, obj: Exchange) -> None:
        editing.delete_exchange(by=actor_of(request), exchange_id=obj.pk)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Its items stay; its pulls are only records."""
        return [str(row) for row in objs], {"exchanges": len(objs)}, set(), []

    def _do(self, request: HttpRequest, pk: int, act: Callable[[Actor], str]) -> HttpResponse:
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        self.existing(pk)
        try:
            messages.success(request, act(actor_of(request)))
        except UserError as error:
            messages.error(request, error.message)
        return redirect("admin:moderation_exchange_change", pk)


def state_of(row: Exchange) -> tuple[str, str]:
    """Return a key of colours, and the words."""
    if not row.enabled:
        return "off", _("off")
    return ("failing", _("failing")) if row.is_failing else ("works", _("works"))


def _counts(pull: Pull) -> str:
    parts = []
    words = {
        "added": _("%(count)s added"),
        "changed": _("%(count)s changed"),
        "reactivated": _("%(count)s active again"),
        "retired": _("%(count)s retired"),
    }
    for name, count in pulling.changes(pull).items():
        if count:
            parts.append(words[name] % {"count": f"{count:,}"})
    return ", ".join(parts) or _("nothing changed")
