"""v1: lists and their methods. Each view makes one service call.

Reading needs the scope ``lists`` too: what is banned is not for everybody to try.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer
from gallery.shared.errors import NotFound, UserError
from moderation.access.api import SCOPE, caller
from moderation.access.permissions import Actor, check
from moderation.lists import lists
from moderation.lists.api.list_serializers import (
    AddListSerializer,
    ChangeListSerializer,
    ChangeMethodSerializer,
    ListSerializer,
    MethodSerializer,
)
from moderation.lists.models import BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES, Action

MATCH_TYPE = OpenApiParameter("match_type", str, "path", enum=PICTURE_TYPES)


def reader(request: Request) -> Actor:
    """Who asks to read. Raises ``NotAllowed``."""
    by = caller(request)
    check(by, "view lists")
    return by


def listed() -> QuerySet[BannedList]:
    """Lists with all that is shown of them."""
    return BannedList.objects.prefetch_related("methods", "allows_for")


def list_or_404(pk: int) -> BannedList:
    """Raises ``NotFound``."""
    row = listed().filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no list {pk}.")
    return row


class ListFilter(filters.FilterSet):
    """Filters of the lists."""

    name = filters.CharFilter(max_length=100)
    kind = filters.ChoiceFilter(choices=BannedList.Kind.choices)
    action = filters.ChoiceFilter(choices=[(action.value, action.value) for action in Action])
    category = filters.CharFilter(max_length=100)
    enabled = filters.BooleanFilter()

    class Meta:
        model = BannedList
        fields: list[str] = []


@extend_schema_view(get=extend_schema(responses=answers({200: ListSerializer(many=True)}, 404)))
class ListCollection(generics.ListAPIView):
    """Make and read lists."""

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
        """Make a list."""
        body = AddListSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = lists.create_list(by=caller(request), **body.validated_data)
        return Response(ListSerializer(list_or_404(made.pk)).data, status=status.HTTP_201_CREATED)


class ListItem(generics.GenericAPIView):
    """One list."""

    queryset = BannedList.objects.all()
    scope = SCOPE

    def get_serializer_class(self) -> Any:
        return ListSerializer if self.request.method == "GET" else ChangeListSerializer

    @extend_schema(responses=answers({200: ListSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """A list with its methods."""
        reader(request)
        return Response(ListSerializer(list_or_404(pk)).data)

    @extend_schema(
        request=json(ChangeListSerializer),
        responses=answers({200: ListSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change what is given; it holds for the next request."""
        body = ChangeListSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        lists.change_list(by=caller(request), list_id=pk, **body.validated_data)
        return Response(ListSerializer(list_or_404(pk)).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("with_items", bool, description="Delete its items, too."),
            OpenApiParameter(
                "override", bool, description="Also what cases need: for admins, with a reason."
            ),
            OpenApiParameter("reason", str, description="Goes into the audit."),
        ],
        responses=answers({204: None, 409: ConflictSerializer}, 404),
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Delete a list for good. One that has items is refused unless ``with_items=true``."""
        asked = {}
        for name in ("with_items", "override"):
            asked[name] = request.query_params.get(name, "false")
            if asked[name] not in ("true", "false"):
                raise UserError(f"{name} is true or false.", field=name)
        lists.delete_list(
            by=caller(request),
            list_id=pk,
            **{name: text == "true" for name, text in asked.items()},
            reason=request.query_params.get("reason", "")[:1000],
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class MethodItem(generics.GenericAPIView):
    """One match type of a list."""

    queryset = ListMethod.objects.all()
    scope = SCOPE
    serializer_class = ChangeMethodSerializer

    @extend_schema(parameters=[MATCH_TYPE], responses=answers({200: MethodSerializer}, 404))
    def get(self, request: Request, pk: int, match_type: str) -> Response:
        """How the list uses it."""
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
        """Change what is given; it holds for the next request."""
        body = ChangeMethodSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        method = lists.change_method(
            by=caller(request), list_id=pk, match_type=match_type, **body.validated_data
        )
        return Response(MethodSerializer(method).data)
