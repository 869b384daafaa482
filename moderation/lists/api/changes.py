"""v1: changes of lists that wait for a second person. Each view calls one service."""

from __future__ import annotations

from collections.abc import Callable

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.bodies import BodySerializer
from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer
from moderation.access.api import SCOPE, caller
from moderation.lists import list_changes
from moderation.lists.models import ListChange


class ListChangeSerializer(serializers.ModelSerializer):
    """A requested change."""

    class Meta:
        model = ListChange
        fields = [
            "id", "list", "list_name", "command", "arguments", "weakens", "reason", "state",
            "asked_by", "created_at", "expires_at", "decided_by", "decided_at", "answer",
        ]  # fmt: skip
        read_only_fields = fields


class AnswerSerializer(BodySerializer):
    """The reason to confirm or refuse the change."""

    example = {"reason": "As agreed in the team"}
    reason = serializers.CharField(max_length=1000, required=False, default="")


@extend_schema_view(
    get=extend_schema(
        summary="List changes, newest first",
        responses=answers({200: ListChangeSerializer(many=True)}, 404),
    )
)
class ListChanges(generics.ListAPIView):
    """Waiting and earlier changes, newest first."""

    name = "Changes of lists"
    queryset = ListChange.objects.all()
    serializer_class = ListChangeSerializer
    scope = SCOPE
    filterset_fields = ["state"]

    def get_queryset(self):  # type: ignore[no-untyped-def]
        return list_changes.waiting(by=caller(self.request))


class ConfirmChange(generics.GenericAPIView):
    """Confirm a change."""

    name = "Confirm a change"
    actions = {"POST": "edit lists"}
    queryset = ListChange.objects.all()
    serializer_class = AnswerSerializer
    scope = SCOPE

    @extend_schema(
        request=json(AnswerSerializer),
        responses=answers({200: ListChangeSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Make the change. Only a person may do so: an admin, or a lead who did not ask for it."""
        return _answered(request, pk, list_changes.confirm)


class RefuseChange(generics.GenericAPIView):
    """Refuse a change."""

    name = "Refuse a change"
    actions = {"POST": "edit lists"}
    queryset = ListChange.objects.all()
    serializer_class = AnswerSerializer
    scope = SCOPE

    @extend_schema(
        request=json(AnswerSerializer),
        responses=answers({200: ListChangeSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Refuse the change. The list stays as it is."""
        return _answered(request, pk, list_changes.refuse)


def _answered(request: Request, pk: int, answer: Callable[..., ListChange]) -> Response:
    body = AnswerSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    row = answer(by=caller(request), change_id=pk, **body.validated_data)
    return Response(ListChangeSerializer(row).data)
