"""v1: hash exchanges. Each view makes one service call. Credentials are taken, never returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer
from gallery.shared.errors import NotFound
from moderation.access.api import SCOPE, CommandView, IdField, ReasonField, caller
from moderation.access.permissions import check
from moderation.exchanges import editing, feedback, pulling
from moderation.exchanges.clients import Service
from moderation.exchanges.models import Exchange, Pull

SEE, EDIT = "pull from exchanges", "edit exchanges"
PULL_COST = 10


class ExchangeSerializer(serializers.ModelSerializer):
    """An exchange and its health. ``failures``: in a row."""

    list = serializers.IntegerField(source="list_id")
    credentials = serializers.SerializerMethodField(
        help_text="The names of those that are stored. They are never shown."
    )
    is_failing = serializers.BooleanField(
        help_text="It is switched on, and does not answer or was not pulled from in time."
    )
    feedback_numbers = serializers.SerializerMethodField(
        help_text="Items that it was told about, that wait, and whose feedback it refused."
    )

    class Meta:
        model = Exchange
        fields = [
            "id", "name", "service", "list", "url", "group", "negative_reason", "enabled",
            "minutes", "ask_first", "feedback", "hold_unanswered", "credentials", "is_failing",
            "failures", "failure", "succeeded_at", "next_at", "feedback_numbers", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_credentials(self, row: Exchange) -> Sequence[str]:
        return sorted(editing.stored_credentials(row))

    def get_feedback_numbers(self, row: Exchange) -> dict[str, int]:
        numbers = feedback.numbers(row)
        return {name: numbers[name] for name in ("told", "waiting", "refused")}


class SecretField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=1000,
            required=False,
            write_only=True,
            style={"input_type": "password"},
            **kwargs,
        )


class CredentialsSerializer(BodySerializer):
    """Those of the service. Which it needs depends on the service."""

    token = SecretField(help_text="Of ThreatExchange.")
    subscription = SecretField(help_text="The subscription key of StopNCII.")
    fetch = SecretField(help_text="The function key of StopNCII's FetchHashes.")
    feedback = SecretField(help_text="The function key of StopNCII's SubmitFeedback.")
    user = SecretField(help_text="Of NCMEC and Arachnid Shield.")
    password = SecretField(help_text="Of NCMEC and Arachnid Shield.")


class ChangeExchangeSerializer(BodySerializer):
    """The fields to change. Credentials that are left out stay, unless the address changes its
    host."""

    example: ClassVar[Any] = {"enabled": True}
    name = serializers.CharField(max_length=100)
    list = IdField(help_text="Id of the list that it fills.")
    url = serializers.CharField(max_length=500, help_text="https://…; no other host is spoken to.")
    group = serializers.CharField(
        max_length=100, required=False, allow_blank=True, help_text="ThreatExchange's privacy group"
    )
    negative_reason = serializers.CharField(
        max_length=100, required=False, allow_blank=True, help_text="The guid of NCMEC's reason"
    )
    minutes = serializers.IntegerField(
        min_value=editing.LEAST_MINUTES,
        max_value=editing.MOST_MINUTES,
        required=False,
        help_text="Minutes between pulls.",
    )
    ask_first = serializers.BooleanField(
        required=False, help_text="A person confirms each pull before it is applied."
    )
    feedback = serializers.BooleanField(
        required=False, help_text="It is told what was decided about its items."
    )
    hold_unanswered = serializers.BooleanField(
        required=False, help_text="Of Arachnid Shield: hold uploads while it does not answer."
    )
    enabled = serializers.BooleanField(required=False)
    credentials = CredentialsSerializer(required=False)

    def fields_of(self) -> dict[str, Any]:
        """Return the arguments of ``editing``."""
        given = dict(self.validated_data)
        if "list" in given:
            given["list_id"] = given.pop("list")
        return {"credentials": {}, **given}


class AddExchangeSerializer(ChangeExchangeSerializer):
    """An exchange to set up. It does nothing until it is enabled."""

    example: ClassVar[Any] = {
        "name": "GIFCT",
        "service": "threatexchange",
        "list": 1,
        "url": "https://graph.facebook.com/v22.0",
        "group": "1012185296055235",
        "credentials": {"token": "123|a-token"},
    }
    service = serializers.ChoiceField(choices=Service.choices)


class PullSerializer(serializers.ModelSerializer):
    """One pull from an exchange: how much it read, and the changes that it made or proposes.

    ``imported``: id of its import, which has samples of the changes; ``withdrawn``: of the one that
    retired at once what the exchange withdrew.
    """

    imported = serializers.IntegerField(source="run_id", allow_null=True)
    withdrawn = serializers.IntegerField(source="withdrawals_id", allow_null=True)
    changes = serializers.SerializerMethodField(
        help_text="Entries added, changed, active again (reactivated) and retired."
    )

    class Meta:
        model = Pull
        fields = [
            "id", "state", "full", "records", "changes", "imported", "withdrawn", "failure",
            "started_by", "started_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_changes(self, pull: Pull) -> dict[str, int]:
        return pulling.changes(pull)


class PullNowSerializer(BodySerializer):
    example = {"from_start": False}
    from_start = serializers.BooleanField(
        required=False, help_text="Read everything again, and retire what it no longer has."
    )


class UndoPullSerializer(BodySerializer):
    example = {"reason": "the wrong group"}
    reason = ReasonField(required=True, allow_blank=False)


class AskingSerializer(serializers.Serializer):
    scan = serializers.IntegerField(help_text="Id of the scan that asks.")


def existing(request: Request, pk: int, action: str = SEE) -> Exchange:
    check(caller(request), action)
    row = Exchange.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no exchange {pk}.")
    return row


@extend_schema_view(
    get=extend_schema(
        summary="List exchanges and their health",
        responses=answers({200: ExchangeSerializer(many=True)}, 404),
    )
)
class ExchangeCollection(generics.ListAPIView):
    """Set up and list exchanges."""

    name = "Exchanges"
    actions = {"GET": SEE, "POST": EDIT}
    queryset = Exchange.objects.all()
    scope = SCOPE
    serializer_class = ExchangeSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Exchange]:
        check(caller(self.request), SEE)
        return Exchange.objects.all()

    @extend_schema(
        request=json(AddExchangeSerializer),
        responses=answers({201: ExchangeSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def post(self, request: Request) -> Response:
        """Set up an exchange. Its credentials are stored encrypted and never returned."""
        body = AddExchangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        row = editing.create_exchange(by=caller(request), **body.fields_of())
        return Response(ExchangeSerializer(row).data, status=status.HTTP_201_CREATED)


class ExchangeItem(generics.GenericAPIView):
    name = "Exchange"
    numbered = True
    actions = {"GET": SEE, "PATCH": EDIT, "DELETE": EDIT}
    queryset = Exchange.objects.all()
    scope = SCOPE
    serializer_class = ExchangeSerializer

    @extend_schema(responses=answers({200: ExchangeSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """Return an exchange and its health."""
        return Response(ExchangeSerializer(existing(request, pk)).data)

    @extend_schema(
        request=json(ChangeExchangeSerializer),
        responses=answers({200: ExchangeSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change the given fields."""
        body = ChangeExchangeSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        row = editing.change_exchange(by=caller(request), exchange_id=pk, **body.fields_of())
        return Response(ExchangeSerializer(row).data)

    def would_delete(self) -> str:
        row = existing(self.request, self.kwargs["pk"])
        return f"the exchange {row.name} with its credentials; the items that it gave stay"

    @extend_schema(responses=answers({204: None}, 404))
    def delete(self, request: Request, pk: int) -> Response:
        """Delete an exchange with its credentials. The items that came from it stay."""
        editing.delete_exchange(by=caller(request), exchange_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PullNow(CommandView):
    name = "Pull now"
    actions = {"POST": SEE}
    throttle_cost = PULL_COST
    queryset = Exchange.objects.all()
    serializer_class = PullNowSerializer

    @extend_schema(
        request=json(PullNowSerializer),
        responses=answers({202: ExchangeSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Start a pull in the background. ``pulls/`` lists the results."""
        row = editing.pull_now(by=caller(request), exchange_id=pk, **self.given())
        return Response(ExchangeSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class AskAboutStored(APIView):
    name = "Ask about what is stored"
    actions = {"POST": SEE}
    scope = SCOPE
    throttle_cost = PULL_COST

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "id", int, "path", examples=[OpenApiExample("a service that matches itself", 2)]
            )
        ],
        request=None,
        responses=answers({202: AskingSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask a service that matches itself about all stored hashes, at a limited rate."""
        scan = editing.ask_about_stored(by=caller(request), exchange_id=pk)
        return Response({"scan": scan.pk}, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(
    get=extend_schema(
        summary="List the pulls of an exchange, newest first",
        responses=answers({200: PullSerializer(many=True)}, 404),
    )
)
class Pulls(generics.ListAPIView):
    """The pulls of an exchange. One without news leaves none."""

    name = "Pulls"
    actions = {"GET": SEE}
    queryset = Pull.objects.all()
    scope = SCOPE
    serializer_class = PullSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Pull]:
        exchange = existing(self.request, self.kwargs["pk"])
        return exchange.pulls.select_related("run", "withdrawals")


class UndoPull(CommandView):
    name = "Undo the latest pull"
    actions = {"POST": SEE}
    queryset = Exchange.objects.all()
    serializer_class = UndoPullSerializer

    @extend_schema(
        request=json(UndoPullSerializer),
        responses=answers({200: PullSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Undo the latest pull, and switch the exchange off, so that it does not come back."""
        existing(request, pk)
        pull = pulling.undo(by=caller(request), exchange_id=pk, **self.given())
        pull.refresh_from_db()
        return Response(PullSerializer(pull).data)
