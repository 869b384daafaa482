"""v1: hash lists in and out. Each view makes one service call."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.schema import answers
from gallery.shared.errors import NotFound
from gallery.shared.responses import download
from moderation.access.api import SCOPE, caller
from moderation.imports import starting_imports
from moderation.imports.api.serializers import (
    AddImportSerializer,
    BadRowSerializer,
    ImportSerializer,
)
from moderation.imports.models import BadRow, ListImport
from moderation.imports.options import options
from moderation.lists import exporting
from moderation.lists.api.lists import reader
from moderation.lists.formats import Format
from moderation.lists.formats.export import WRITERS
from moderation.lists.models import BannedList

IMPORT_COST = 10
EXPORTED_AS = OpenApiParameter("form", str, "path", enum=[one.value for one in WRITERS])


class ImportFilter(filters.FilterSet):
    """Filters of the imports."""

    list = filters.ModelChoiceFilter(queryset=BannedList.objects.all())
    state = filters.ChoiceFilter(choices=ListImport.State.choices)

    class Meta:
        model = ListImport
        fields: list[str] = []


@extend_schema_view(get=extend_schema(responses=answers({200: ImportSerializer(many=True)}, 404)))
class ImportCollection(generics.ListAPIView):
    """Begin and read imports."""

    queryset = ListImport.objects.all()
    scope = SCOPE
    serializer_class = ImportSerializer
    filterset_class = ImportFilter

    def throttle_cost(self, request: Request) -> int:
        return IMPORT_COST if request.method == "POST" else 1

    def get_queryset(self) -> QuerySet[ListImport]:
        reader(self.request)
        return ListImport.objects.all()

    @extend_schema(
        request={"multipart/form-data": AddImportSerializer},
        responses=answers({202: ImportSerializer}, 404, body=True),
    )
    def post(self, request: Request) -> Response:
        """Import a hash list into a list. Its ``state`` and ``progress`` say how far it is.

        A change of more than a fifth of the list waits for ``confirm/``, as a dry run does.
        """
        body = AddImportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = dict(body.validated_data)
        names = ("source", "kind", "categories", "full")
        row = starting_imports.begin(
            by=caller(request),
            list_id=asked.pop("list"),
            options=options(**{name: asked.pop(name) for name in names if name in asked}),
            **asked,
        )
        return Response(ImportSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class ImportItem(generics.RetrieveAPIView):
    """One import."""

    queryset = ListImport.objects.all()
    scope = SCOPE
    serializer_class = ImportSerializer

    def get_object(self) -> ListImport:
        reader(self.request)
        row = ListImport.objects.filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise NotFound(f"There is no import {self.kwargs['pk']}.")
        return row

    @extend_schema(responses=answers({200: ImportSerializer}, 404))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """How far it is, or what it came to."""
        return super().get(request, *args, **kwargs)


class ConfirmImport(APIView):
    """Agreeing to an import."""

    scope = SCOPE
    serializer_class = ImportSerializer

    @extend_schema(
        request=None,
        responses=answers({202: ImportSerializer}, 404, 409, body=True),
        methods=["POST"],
    )
    def post(self, request: Request, pk: int) -> Response:
        """Do what was previewed, or what waits because it is a large change."""
        row = starting_imports.confirm(by=caller(request), import_id=pk)
        return Response(ImportSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class DiscardImport(APIView):
    """Not agreeing to it."""

    scope = SCOPE
    serializer_class = ImportSerializer

    @extend_schema(
        request=None,
        responses=answers({200: ImportSerializer}, 404, 409, body=True),
        methods=["POST"],
    )
    def post(self, request: Request, pk: int) -> Response:
        """Drop the file of an import that was previewed or waits; nothing is changed."""
        row = starting_imports.discard(by=caller(request), import_id=pk)
        return Response(ImportSerializer(row).data)


@extend_schema_view(get=extend_schema(responses=answers({200: BadRowSerializer(many=True)}, 404)))
class BadRows(generics.ListAPIView):
    """Rows of an import that could not be used."""

    queryset = BadRow.objects.all()
    scope = SCOPE
    serializer_class = BadRowSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[BadRow]:
        reader(self.request)
        if not ListImport.objects.filter(pk=self.kwargs["pk"]).exists():
            raise NotFound(f"There is no import {self.kwargs['pk']}.")
        return BadRow.objects.filter(run=self.kwargs["pk"])


class ExportList(APIView):
    """A list as a file."""

    scope = SCOPE
    throttle_cost = IMPORT_COST

    @extend_schema(
        parameters=[EXPORTED_AS],
        responses={
            **answers({}, 404),
            (200, "text/csv"): OpenApiTypes.BINARY,
            (200, "text/plain"): OpenApiTypes.BINARY,
            (200, "application/json"): OpenApiTypes.OBJECT,
        },
    )
    def get(self, request: Request, pk: int, form: str) -> HttpResponseBase:
        """Download a list as ``csv``, ``plain`` lines or ``threatexchange`` JSON."""
        name, pieces = exporting.export_list(by=caller(request), list_id=pk, format=form)
        return download(name, pieces, exporting.CONTENT_TYPES[Format(form)])
