"""v1: lists and their methods. Each view calls one service.

Reading also needs the scope ``lists``, because knowing the lists would help to evade them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.bodies import BodySerializer
from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer
from gallery.shared.errors import NotFound, UserError
from moderation.access.api import MAX_IDS, MAX_NOTE, SCOPE, IdField, ReasonField, caller
from moderation.access.permissions import Actor, check
from moderation.lists import list_writes
from moderation.lists.models import BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES, Action, Severity


class SeverityField(serializers.ChoiceField):
    """A severity by name. The database stores severities as numbers, to order them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[severity.name.lower() for severity in Severity], **kwargs)

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]
        return Severity[super().to_internal_value(data).upper()].value

    def to_representation(self, value: Any) -> str:
        return Severity(value).name.lower()


class BoundsSerializer(serializers.Serializer):
    """Inclusive distances."""

    threshold = serializers.FloatField()
    observe = serializers.FloatField()


class MethodSerializer(serializers.ModelSerializer):
    """How a list uses a match type. ``effective``: the distances in force, including defaults."""

    effective = BoundsSerializer()

    class Meta:
        model = ListMethod
        fields = ["match_type", "enabled", "threshold", "observe", "may_block", "effective"]
        read_only_fields = fields

    def to_representation(self, method: ListMethod) -> dict[str, Any]:
        names = ("match_type", "enabled", "threshold", "observe", "may_block")
        used = method.thresholds
        effective = {"threshold": used.threshold, "observe": used.near_miss}
        return {**{name: getattr(method, name) for name in names}, "effective": effective}


class ChangeMethodSerializer(BodySerializer):
    """Fields to change. Null means the default distance."""

    example = {"threshold": 30, "reason": "Fewer false matches"}
    enabled = serializers.BooleanField(required=False)
    threshold = serializers.FloatField(required=False, allow_null=True)
    observe = serializers.FloatField(required=False, allow_null=True)
    may_block = serializers.BooleanField(required=False)
    reason = ReasonField()


class ListSerializer(serializers.ModelSerializer):
    """A list and its methods."""

    severity = SeverityField()
    allows_for = serializers.ListField(child=serializers.IntegerField())
    methods = MethodSerializer(many=True)

    class Meta:
        model = BannedList
        fields = [
            "id",
            "name",
            "kind",
            "category",
            "description",
            "owner",
            "severity",
            "action",
            "enabled",
            "hold_on_review",
            "hash_only",
            "two_person",
            "allows_for",
            "flood_limit",
            "observe_share",
            "version",
            "created_at",
            "methods",
        ]
        read_only_fields = fields

    def to_representation(self, row: BannedList) -> dict[str, Any]:
        special = {"severity", "allows_for", "methods"}
        order = PICTURE_TYPES.index
        methods = sorted(row.methods.all(), key=lambda method: order(method.match_type))
        return {
            **{name: getattr(row, name) for name in self.Meta.fields if name not in special},
            "severity": Severity(row.severity).name.lower(),
            "allows_for": sorted(other.pk for other in row.allows_for.all()),
            "methods": [MethodSerializer(method).data for method in methods],
        }


class ChangeListSerializer(BodySerializer):
    """Fields to change."""

    example: ClassVar[Any] = {"description": "From our partners", "reason": "It said nothing"}
    name = serializers.CharField(max_length=100, required=False)
    kind = serializers.ChoiceField(choices=BannedList.Kind.choices, required=False)
    category = serializers.CharField(max_length=100, allow_blank=True, required=False)
    description = serializers.CharField(max_length=MAX_NOTE, allow_blank=True, required=False)
    owner = serializers.CharField(max_length=160, allow_blank=True, required=False)
    severity = SeverityField(required=False)
    action = serializers.ChoiceField(
        choices=[action.value for action in Action],
        required=False,
        help_text="A new list only records what it would do (shadow), unless you set another "
        "action.",
    )
    enabled = serializers.BooleanField(required=False)
    hold_on_review = serializers.BooleanField(required=False)
    hash_only = serializers.BooleanField(
        required=False, help_text="No pictures are stored; switching it on deletes the stored ones."
    )
    two_person = serializers.BooleanField(required=False)
    allows_for = serializers.ListField(
        child=IdField(),
        max_length=MAX_IDS,
        required=False,
        help_text="Of an allow list: the lists it has priority over; none = all.",
    )
    flood_limit = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, allow_null=True, required=False
    )
    observe_share = serializers.FloatField(min_value=0, max_value=1, required=False)
    reason = ReasonField()


class AddListSerializer(ChangeListSerializer):
    """A new list."""

    example = {"name": "Example list", "severity": "medium", "action": "shadow"}
    name = serializers.CharField(max_length=100)


MATCH_TYPE = OpenApiParameter(
    "match_type", str, "path", enum=PICTURE_TYPES, examples=[OpenApiExample("PDQ", "pdq")]
)


def reader(request: Request) -> Actor:
    by = caller(request)
    check(by, "view lists")
    return by


def listed() -> QuerySet[BannedList]:
    return BannedList.objects.prefetch_related("methods", "allows_for")


def list_or_404(pk: int) -> BannedList:
    row = listed().filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no list {pk}.")
    return row


class ListFilter(filters.FilterSet):
    name = filters.CharFilter(max_length=100)
    kind = filters.ChoiceFilter(choices=BannedList.Kind.choices)
    action = filters.ChoiceFilter(choices=[(action.value, action.value) for action in Action])
    category = filters.CharFilter(max_length=100)
    enabled = filters.BooleanFilter()

    class Meta:
        model = BannedList
        fields: list[str] = []


@extend_schema_view(
    get=extend_schema(
        summary="List all lists, newest first",
        responses=answers({200: ListSerializer(many=True)}, 404),
    )
)
class ListCollection(generics.ListAPIView):
    """Create and read lists."""

    name = "Lists"
    actions = {"POST": "edit lists"}
    queryset = BannedList.objects.all()
    scope = SCOPE
    filterset_class = ListFilter

    def get_serializer_class(self) -> Any:
        return AddListSerializer if self.request.method == "POST" else ListSerializer

    def get_queryset(self) -> QuerySet[BannedList]:
        reader(self.request)
        return listed()

    @extend_schema(
        request=json(AddListSerializer),
        responses=answers({201: ListSerializer, 409: ConflictSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Create a list."""
        body = AddListSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = list_writes.create_list(by=caller(request), **body.validated_data)
        return Response(ListSerializer(list_or_404(made.pk)).data, status=status.HTTP_201_CREATED)


class ListItem(generics.GenericAPIView):
    """One list."""

    name = "List"
    numbered = True
    actions = {"PATCH": "edit lists", "DELETE": "delete lists"}
    queryset = BannedList.objects.all()
    scope = SCOPE

    def get_serializer_class(self) -> Any:
        return ListSerializer if self.request.method == "GET" else ChangeListSerializer

    @extend_schema(responses=answers({200: ListSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """Read a list with its methods."""
        reader(request)
        return Response(ListSerializer(list_or_404(pk)).data)

    @extend_schema(
        request=json(ChangeListSerializer),
        responses=answers({200: ListSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change the given fields. They apply from the next request on."""
        body = ChangeListSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        list_writes.change_list(by=caller(request), list_id=pk, **body.validated_data)
        return Response(ListSerializer(list_or_404(pk)).data)

    def would_delete(self) -> str:
        row = list_or_404(self.kwargs["pk"])
        count = row.items.count()
        return f"the list {row.name} with {count:,} item{'' if count == 1 else 's'}"

    @extend_schema(
        parameters=[
            OpenApiParameter("id", int, "path", examples=[OpenApiExample("without items", 2)]),
            OpenApiParameter("with_items", bool, description="Delete its items, too."),
            OpenApiParameter(
                "override",
                bool,
                description="Also if cases need its items: for admins, with a reason.",
            ),
            OpenApiParameter("reason", str, description="Recorded in the audit."),
        ],
        responses=answers({204: None, 409: ConflictSerializer}, 404),
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Delete a list. A list with items is refused unless ``with_items=true``."""
        asked = {}
        for name in ("with_items", "override"):
            asked[name] = request.query_params.get(name, "false")
            if asked[name] not in ("true", "false"):
                raise UserError(f"{name} is true or false.", field=name)
        list_writes.delete_list(
            by=caller(request),
            list_id=pk,
            **{name: text == "true" for name, text in asked.items()},
            reason=request.query_params.get("reason", "")[:1000],
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class MethodItem(generics.GenericAPIView):
    """One match type of a list."""

    name = "Match type"
    numbered = True
    actions = {"PATCH": "edit lists"}
    queryset = ListMethod.objects.all()
    scope = SCOPE
    serializer_class = ChangeMethodSerializer

    @extend_schema(parameters=[MATCH_TYPE], responses=answers({200: MethodSerializer}, 404))
    def get(self, request: Request, pk: int, match_type: str) -> Response:
        """Read how the list uses the match type."""
        reader(request)
        method = ListMethod.objects.filter(list=pk, match_type=match_type).first()
        if method is None:
            raise NotFound(f"There is no list {pk} with a match type {match_type!r}.")
        return Response(MethodSerializer(method).data)

    @extend_schema(
        parameters=[MATCH_TYPE],
        request=json(ChangeMethodSerializer),
        responses=answers({200: MethodSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int, match_type: str) -> Response:
        """Change the given fields. They apply from the next request on."""
        body = ChangeMethodSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        method = list_writes.change_method(
            by=caller(request), list_id=pk, match_type=match_type, **body.validated_data
        )
        return Response(MethodSerializer(method).data)
