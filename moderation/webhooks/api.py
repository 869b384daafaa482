"""API v1 of webhooks and their messages, for admins. Each view makes one service call."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer
from gallery.shared.errors import NotFound
from moderation.access.api import MAX_IDS, SCOPE, IdField, caller
from moderation.access.permissions import check
from moderation.webhooks import editing
from moderation.webhooks.delivery import send
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent


class WebhookSerializer(serializers.ModelSerializer):
    """A webhook. Only the answer that created it contains its secret."""

    class Meta:
        model = Webhook
        fields = [
            "id", "name", "url", "events", "enabled", "failures", "paused_until", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class SecretSerializer(WebhookSerializer):
    """A webhook with the secret that signs its messages. The secret is shown only once."""

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]
        read_only_fields = fields


class AddWebhookSerializer(BodySerializer):
    """A webhook to create, or the fields to change."""

    example = {
        "name": "Example",
        "url": "https://hooks.example.com/imgsmlr",
        "events": ["verdict"],
    }
    name = serializers.CharField(max_length=100)
    url = serializers.CharField(max_length=2048, help_text="http:// or https://")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=WebhookEvent.choices), allow_empty=False
    )
    enabled = serializers.BooleanField(required=False)


class DeliverySerializer(serializers.ModelSerializer):
    """A message and its state."""

    webhook = serializers.IntegerField(source="webhook_id")

    class Meta:
        model = Delivery
        fields = [
            "id", "webhook", "event", "key", "payload", "attempts", "next_at", "give_up_at",
            "delivered_at", "given_up_at", "failure", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class TryAgainSerializer(BodySerializer):
    example = {"ids": [1]}
    ids = serializers.ListField(child=IdField(), allow_empty=False, max_length=MAX_IDS)


class CountSerializer(serializers.Serializer):
    count = serializers.IntegerField()


def found(pk: int) -> Webhook:
    row = Webhook.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no webhook {pk}.")
    return row


@extend_schema_view(
    get=extend_schema(
        summary="List webhooks", responses=answers({200: WebhookSerializer(many=True)}, 404)
    )
)
class WebhookCollection(generics.ListAPIView):
    """Create and list webhooks."""

    name = "Webhooks"
    actions = {"GET": "edit webhooks", "POST": "edit webhooks"}
    queryset = Webhook.objects.all()
    scope = SCOPE
    serializer_class = WebhookSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Webhook]:
        check(caller(self.request), "edit webhooks")
        return Webhook.objects.all()

    @extend_schema(
        request=json(AddWebhookSerializer),
        responses=answers({201: SecretSerializer, 409: ConflictSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Create a webhook. The answer contains its secret, which is shown only once."""
        body = AddWebhookSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = editing.create_webhook(by=caller(request), **body.validated_data)
        return Response(SecretSerializer(made).data, status=status.HTTP_201_CREATED)


class WebhookItem(generics.GenericAPIView):
    name = "Webhook"
    numbered = True
    actions = {"GET": "edit webhooks", "PATCH": "edit webhooks", "DELETE": "edit webhooks"}
    queryset = Webhook.objects.all()
    scope = SCOPE
    serializer_class = WebhookSerializer

    @extend_schema(responses=answers({200: WebhookSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """Return a webhook, and whether its receiver is healthy."""
        check(caller(request), "edit webhooks")
        return Response(WebhookSerializer(found(pk)).data)

    @extend_schema(
        request=json(AddWebhookSerializer),
        responses=answers({200: WebhookSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change the given fields."""
        body = AddWebhookSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        row = editing.change_webhook(by=caller(request), webhook_id=pk, **body.validated_data)
        return Response(WebhookSerializer(row).data)

    def would_delete(self) -> str:
        row = found(self.kwargs["pk"])
        count = row.deliveries.count()
        return f"the webhook {row.name} with {count:,} message{'' if count == 1 else 's'}"

    @extend_schema(responses=answers({204: None}, 404))
    def delete(self, request: Request, pk: int) -> Response:
        """Delete a webhook and its messages."""
        editing.delete_webhook(by=caller(request), webhook_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RenewSecret(APIView):
    name = "Renew the secret"
    actions = {"POST": "edit webhooks"}
    scope = SCOPE

    @extend_schema(request=None, responses=answers({200: SecretSerializer}, 404, body=True))
    def post(self, request: Request, pk: int) -> Response:
        """Create a new secret for all messages from now on. The answer shows it only once."""
        row = editing.renew_secret(by=caller(request), webhook_id=pk)
        return Response(SecretSerializer(row).data)


class TestWebhook(APIView):
    name = "Send a test"
    actions = {"POST": "edit webhooks"}
    scope = SCOPE

    @extend_schema(request=None, responses=answers({200: DeliverySerializer}, 404, body=True))
    def post(self, request: Request, pk: int) -> Response:
        """Send a test message now and return the result."""
        delivery = editing.write_test(by=caller(request), webhook_id=pk)
        send(delivery)
        delivery.refresh_from_db()
        return Response(DeliverySerializer(delivery).data)


@extend_schema_view(
    get=extend_schema(
        summary="List the messages of a webhook",
        responses=answers({200: DeliverySerializer(many=True)}, 404),
    )
)
class Deliveries(generics.ListAPIView):
    """The messages of a webhook."""

    name = "Messages"
    actions = {"GET": "edit webhooks"}
    queryset = Delivery.objects.all()
    scope = SCOPE
    serializer_class = DeliverySerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Delivery]:
        check(caller(self.request), "edit webhooks")
        return Delivery.objects.filter(webhook=found(self.kwargs["pk"]))


class TryAgain(APIView):
    name = "Try messages again"
    actions = {"POST": "edit webhooks"}
    scope = SCOPE

    @extend_schema(
        request=json(TryAgainSerializer), responses=answers({200: CountSerializer}, body=True)
    )
    def post(self, request: Request) -> Response:
        """Send undelivered messages now, and retry them for another day."""
        body = TryAgainSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        count = editing.try_again(by=caller(request), ids=body.validated_data["ids"])
        return Response({"count": count})
