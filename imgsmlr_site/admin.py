"""The admin of API keys: superusers issue keys, see the text once, and revoke keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from gallery.admin.confirmation import asked
from gallery.admin.listing import BulkListMixin
from gallery.admin.selection import Selection
from gallery.shared.times import when
from imgsmlr_site import people_admin  # noqa: F401  # registers
from imgsmlr_site.accounts import events
from imgsmlr_site.library_admin import SuperuserOnly
from imgsmlr_site.models import ApiKey, Scope

STATES = {
    "active": _("active"),
    "revoked": _("revoked"),
    "expired": _("expired"),
    "bound to a deactivated user": _("bound to a deactivated user"),
}


class ApiKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes", "user", "expires_at"]


@admin.register(ApiKey)
class ApiKeyAdmin(SuperuserOnly, BulkListMixin, ModelAdmin):
    """Superusers only, because whoever issues keys can give themselves every scope.

    Keys are never deleted, because items name the key that added them.
    """

    form = ApiKeyForm
    list_display = ["name", "prefix", "shown_scopes", "user", "state", "last_used", "expires"]
    list_select_related = ["user"]
    search_fields = ["name", "prefix"]
    readonly_fields = ["prefix", "created_at", "last_used_at", "revoked_at"]
    actions = ["revoke"]

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        # Keys are revoked instead.
        return False

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        fields = ["name", "scopes", "user", "expires_at"]
        return [*fields, *self.readonly_fields] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return ["name", *self.readonly_fields] if obj else list(self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Give a new key its secret, which ``response_add`` shows."""
        if not change:
            request.issued_text = obj.assign_secret()  # type: ignore[attr-defined]
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            events.record_key(obj, "changed" if change else "made")

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key on a page. A Django message would put it into a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("API key %(name)s") % {"name": obj.name},
            "opts": self.opts,
            "text": request.issued_text,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/api_key_issued.html", context)
        add_never_cache_headers(response)
        return response

    @admin.action(description=_("Revoke…"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        keys = queryset.filter(revoked_at=None).order_by("name")
        names = [key.name for key in keys]
        counted = ngettext("%(n)s key", "%(n)s keys", len(names)) % {"n": len(names)}
        if not names:
            text = _("Nothing was changed: the selected keys are revoked already.")
            messages.warning(request, text)
            return None
        page = asked(
            self,
            request,
            Selection(request, "revoke", keys, ["name"]),
            button=_("Revoke %(keys)s") % {"keys": counted},
            would=gettext("Programs that send them are refused at once. This cannot be undone."),
            lines=[f"{key.name} ({key.prefix}…)" for key in keys],
        )
        if page is not None:
            return page
        with transaction.atomic():
            for key in keys:
                key.revoke()
                events.record_key(key, "revoked")
                self.log_change(request, key, "Revoked.")
        text = _("%(keys)s revoked: %(names)s.")
        messages.success(request, text % {"keys": counted, "names": ", ".join(names)})
        return None

    @display(description=_("scopes"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description=_("last used"), ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        return when(key.last_used_at)

    @display(description=_("expires"), ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return when(key.expires_at) if key.expires_at else str(_("never"))

    @display(description=_("state"), label={"active": "success", "revoked": "danger"})
    def state(self, key: ApiKey) -> tuple[str, str]:
        state = key.ended(timezone.now()) or "active"
        return state, str(STATES[state])
