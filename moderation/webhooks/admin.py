"""Admin pages of webhooks and their messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from gallery.admin.listing import AddedSinceFilter, DaysFilter
from gallery.shared import times
from moderation.access.admin import RoleModelAdmin
from moderation.access.permissions import actor_of
from moderation.access.stored_sentences import sentence
from moderation.webhooks import editing
from moderation.webhooks.delivery import send
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent

FIELDS = ("name", "url", "events", "enabled")


class WebhookForm(forms.ModelForm):
    url = forms.URLField(
        label="URL",
        max_length=editing.LONGEST_URL,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "url"}),
        help_text=_("Messages are sent there by POST."),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(name, name) for name in WebhookEvent.values],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Webhook
        fields = FIELDS


@admin.register(Webhook)
class WebhookAdmin(RoleModelAdmin):
    """Webhooks, only for admins, because their messages are confidential."""

    view_action = add_action = change_action = delete_action = "edit webhooks"
    form = WebhookForm
    list_display = ["name", "url", "shown_events", "shown_state", "waiting", "given_up"]
    sortable_by = ["name"]
    change_form_outer_before_template = "moderation/webhooks/webhook.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        """Add the numbers of messages that wait and that were given up."""
        rows: QuerySet[Webhook] = super().get_queryset(request)
        undelivered = Q(deliveries__delivered_at=None)
        return rows.annotate(
            waits=Count(
                "deliveries", filter=undelivered & Q(deliveries__given_up_at=None), distinct=True
            ),
            lost=Count(
                "deliveries", filter=undelivered & ~Q(deliveries__given_up_at=None), distinct=True
            ),
        )

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            wrapped: Callable[..., HttpResponse] = self.admin_site.admin_view(view)
            return wrapped

        name = "moderation_webhook"
        return [
            path("<int:pk>/test/", page(self.test_view), name=f"{name}_test"),
            path("<int:pk>/secret/", page(self.secret_view), name=f"{name}_secret"),
            *super().get_urls(),
        ]

    @display(description=_("events"))
    def shown_events(self, row: Webhook) -> str:
        return ", ".join(row.events)

    @display(
        description=_("receiver"), label={"healthy": "success", "off": "info", "failing": "danger"}
    )
    def shown_state(self, row: Webhook) -> tuple[str, str]:
        if not row.enabled:
            return "off", gettext("off")
        return ("failing", gettext("failing")) if row.failures else ("healthy", gettext("healthy"))

    @display(description=_("waiting"))
    def waiting(self, row: Webhook) -> int:
        return row.waits  # type: ignore[attr-defined,no-any-return]

    @display(description=_("given up"))
    def given_up(self, row: Webhook) -> str:
        """Return the number of messages that never arrived, as a link to them."""
        return format_html(
            '<a href="{}?webhook__id__exact={}&outcome=given_up">{}</a>',
            reverse("admin:moderation_delivery_changelist"),
            row.pk,
            row.lost,  # type: ignore[attr-defined]
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add the latest messages of the webhook to the page."""
        webhook = Webhook.objects.filter(pk=object_id).first() if object_id else None
        context = {
            "webhook": webhook,
            "latest": webhook.deliveries.all()[:10] if webhook else [],
            "now": timezone.now(),
            "show_save_and_add_another": False,
            **(extra_context or {}),
        }
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        """Keep the secret of a new webhook for ``response_add``."""
        given = {name: form.cleaned_data[name] for name in FIELDS}
        if change:
            editing.change_webhook(by=actor_of(request), webhook_id=obj.pk, **given)
        else:
            made = editing.create_webhook(by=actor_of(request), **given)
            obj.pk, obj.secret = made.pk, made.secret

    def response_add(
        self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret on a page. A Django message might be stored in a cookie."""
        return self._issued(request, obj)

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        editing.delete_webhook(by=actor_of(request), webhook_id=obj.pk)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Show only the number of the messages that are deleted with the webhook."""
        count = Delivery.objects.filter(webhook__in=objs).count()
        return (
            [str(row) for row in objs],
            {gettext("webhooks"): len(objs), gettext("messages"): count},
            set(),
            [],
        )

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._require_post(request)
        delivery = editing.write_test(by=actor_of(request), webhook_id=pk)
        if send(delivery):
            messages.success(request, gettext("The test message arrived."))
        else:
            delivery.refresh_from_db()
            text = gettext("The test message did not arrive. %(why)s")
            messages.error(request, text % {"why": sentence(delivery.failure)})
        return redirect("admin:moderation_webhook_change", pk)

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._require_post(request)
        return self._issued(request, editing.renew_secret(by=actor_of(request), webhook_id=pk))

    def _require_post(self, request: HttpRequest) -> None:
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied

    def _issued(self, request: HttpRequest, row: Webhook) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Secret of %(name)s") % {"name": row.name},
            "opts": self.opts,
            "webhook": row,
        }
        response = TemplateResponse(request, "moderation/webhooks/secret.html", context)
        add_never_cache_headers(response)
        return response


class DeliveryStateFilter(admin.SimpleListFilter):
    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [
            ("waiting", gettext("waiting")),
            ("delivered", gettext("delivered")),
            ("given_up", gettext("given up")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "waiting":
                return queryset.filter(delivered_at=None, given_up_at=None)
            case "delivered":
                return queryset.exclude(delivered_at=None)
            case "given_up":
                return queryset.filter(delivered_at=None).exclude(given_up_at=None)
        return queryset


@admin.register(Delivery)
class DeliveryAdmin(RoleModelAdmin):
    """Messages, newest first."""

    view_action = "edit webhooks"
    list_display = ["number", "webhook", "event", "shown_outcome", "attempts", "why", "added"]
    list_filter = [
        DeliveryStateFilter,
        ("event", ChoicesCheckboxFilter),
        "webhook",
        AddedSinceFilter,
        ("created_at", DaysFilter),
    ]
    list_select_related = ["webhook"]
    sortable_by = ["number"]
    search_fields = ["key"]
    actions = ["try_again"]
    fields = [
        "webhook", "event", "key", "shown_payload", "attempts", "next_at", "give_up_at",
        "delivered_at", "given_up_at", "why", "created_at",
    ]  # fmt: skip
    readonly_fields = ["shown_payload", "why"]

    def has_try_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "edit webhooks")

    @display(description=_("message"), ordering="pk")
    def number(self, row: Delivery) -> str:
        return f"msg_{row.pk}"

    @display(
        description=_("outcome"),
        label={"delivered": "success", "given up": "danger", "waiting": "warning", "new": "info"},
    )
    def shown_outcome(self, row: Delivery) -> tuple[str, str]:
        if row.delivered_at:
            return "delivered", gettext("delivered")
        if row.given_up_at:
            return "given up", gettext("given up")
        return ("waiting", gettext("waiting")) if row.attempts else ("new", gettext("new"))

    @display(description=_("failure"))
    def why(self, row: Delivery) -> str:
        return sentence(row.failure)

    @display(description=_("written"))
    def added(self, row: Delivery) -> str:
        return times.when(row.created_at)

    @display(description=_("payload"))
    def shown_payload(self, row: Delivery) -> str:
        text = orjson.dumps(row.payload, option=orjson.OPT_INDENT_2).decode()
        return format_html('<pre class="payload">{}</pre>', text)

    @admin.action(description=_("Try again"), permissions=["try"])
    def try_again(
        self, request: HttpRequest, queryset: QuerySet[Delivery]
    ) -> HttpResponseRedirect | None:
        """Send undelivered messages now, and retry them for another day."""
        ids = list(queryset.values_list("pk", flat=True))
        count = editing.try_again(by=actor_of(request), ids=ids)
        if count:
            text = gettext("%(count)s of %(all)s will be sent again.")
            messages.success(request, text % {"count": count, "all": len(ids)})
        else:
            messages.warning(request, gettext("Nothing to do: all of them have arrived."))
        return None
