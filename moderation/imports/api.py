"""v1: import and export of hash lists. Each view calls one service."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.schema import answers, json
from gallery.imaging.decoding.limits import TooLarge
from gallery.shared.errors import NotFound
from gallery.shared.responses import download
from moderation.access.api import SCOPE, CommandView, IdField, ReasonField, caller
from moderation.imports import start, undoing
from moderation.imports.models import BadRow, ListImport
from moderation.imports.options import options
from moderation.lists import exporting
from moderation.lists.api.lists import reader
from moderation.lists.formats.reading import Format
from moderation.lists.formats.rows import HashKind
from moderation.lists.formats.writing import WRITERS
from moderation.lists.models import BannedList


class ListFileField(serializers.FileField):
    """An uploaded hash list. It is never read into memory as a whole."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(use_url=False, help_text="A form with a file.", **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        upload = super().to_internal_value(data)
        if upload.size > settings.MAX_LIST_BYTES:
            raise TooLarge(
                f"The file has {upload.size:,} bytes, more than the {settings.MAX_LIST_BYTES:,} "
                "accepted; use manage.py import_hash_list.",
                field=self.field_name,
                code="too_large",
            )
        return upload


class AddImportSerializer(BodySerializer):
    """A hash list, and how to read it."""

    form_example = {"list": 1, "dry_run": True}
    file = ListFileField()
    list = IdField(help_text="Id of the list to import into.")
    format = serializers.ChoiceField(
        choices=[format.value for format in Format],
        required=False,
        help_text="Detected if it is not given.",
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a name that its base has, too
        max_length=255, required=False, help_text="The source of rows that name none."
    )
    kind = serializers.ChoiceField(
        choices=[kind.value for kind in HashKind],
        required=False,
        help_text="The kind of hashes given without one.",
    )
    categories = serializers.ListField(
        child=serializers.CharField(max_length=255),
        required=False,
        max_length=100,
        help_text="Import only entries of these categories.",
    )
    full = serializers.BooleanField(
        required=False,
        help_text="The file is complete for its sources: entries missing from it are retired.",
    )
    dry_run = serializers.BooleanField(required=False, help_text="Preview: change nothing.")
    confirmed = serializers.BooleanField(
        required=False, help_text="Confirm a large change in advance."
    )


class CountsSerializer(serializers.Serializer):
    """Numbers of entries by what happens to them. Empty until the file is read.

    ``skipped`` counts hashes, ``bad`` counts rows. ``missing``: retired entries that a full list no
    longer has; ``retired`` includes them. ``broken``: the file ends early.
    """

    added = serializers.IntegerField(required=False)
    changed = serializers.IntegerField(required=False)
    reactivated = serializers.IntegerField(required=False)
    retired = serializers.IntegerField(required=False)
    missing = serializers.IntegerField(required=False)
    unchanged = serializers.IntegerField(required=False)
    kept = serializers.IntegerField(
        required=False, help_text="Retired by hand, which an import does not undo."
    )
    skipped = serializers.IntegerField(required=False)
    skipped_kinds = serializers.DictField(child=serializers.IntegerField(), required=False)
    bad = serializers.IntegerField(required=False)
    rows = serializers.IntegerField(required=False)
    broken = serializers.BooleanField(required=False)


class ImportSerializer(serializers.ModelSerializer):
    """An import and its progress."""

    list = serializers.IntegerField(source="list_id")
    counts = CountsSerializer()

    class Meta:
        model = ListImport
        fields = [
            "id",
            "list",
            "state",
            "progress",
            "file_name",
            "sha256",
            "size",
            "format",
            "options",
            "dry_run",
            "confirmed",
            "counts",
            "samples",
            "failure",
            "added_by",
            "created_at",
            "finished_at",
            "undone_at",
            "undone_by",
        ]
        read_only_fields = fields


class BadRowSerializer(serializers.ModelSerializer):
    """A bad row: its place, why it could not be used, and its first characters."""

    class Meta:
        model = BadRow
        fields = ["place", "reason", "excerpt"]
        read_only_fields = fields


IMPORT_COST = 10
EXPORTED_AS = OpenApiParameter("form", str, "path", enum=[one.value for one in WRITERS])


class ImportFilter(filters.FilterSet):
    list = filters.ModelChoiceFilter(queryset=BannedList.objects.all())
    state = filters.ChoiceFilter(choices=ListImport.State.choices)

    class Meta:
        model = ListImport
        fields: list[str] = []


@extend_schema_view(
    get=extend_schema(
        summary="List imports, newest first",
        responses=answers({200: ImportSerializer(many=True)}, 404),
    )
)
class ImportCollection(generics.ListAPIView):
    """Start and read imports."""

    name = "Imports"
    actions = {"POST": "import lists"}
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
        """Import a hash list into a list. ``state`` and ``progress`` show how far it is.

        A change of more than a fifth of the list waits for ``confirm/``. A dry run waits as well.
        """
        body = AddImportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = dict(body.validated_data)
        names = ("source", "kind", "categories", "full")
        row = start.begin(
            by=caller(request),
            list_id=asked.pop("list"),
            options=options(**{name: asked.pop(name) for name in names if name in asked}),
            **asked,
        )
        return Response(ImportSerializer(row).data, status=status.HTTP_202_ACCEPTED)


def readable_import(request: Request, pk: int) -> ListImport:
    """Raises ``NotFound``."""
    reader(request)
    row = ListImport.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no import {pk}.")
    return row


class ImportItem(generics.RetrieveAPIView):
    """One import."""

    name = "Import"
    numbered = True
    queryset = ListImport.objects.all()
    scope = SCOPE
    serializer_class = ImportSerializer

    def get_object(self) -> ListImport:
        return readable_import(self.request, self.kwargs["pk"])

    @extend_schema(responses=answers({200: ImportSerializer}, 404))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read the progress or result of an import."""
        return super().get(request, *args, **kwargs)


class ConfirmImport(APIView):
    """Confirm an import."""

    name = "Confirm the import"
    actions = {"POST": "import lists"}
    scope = SCOPE
    serializer_class = ImportSerializer

    @extend_schema(
        request=None,
        responses=answers({202: ImportSerializer}, 404, 409, body=True),
        methods=["POST"],
    )
    def post(self, request: Request, pk: int) -> Response:
        """Import a file that was previewed, or that waits because it is a large change."""
        row = start.confirm(by=caller(request), import_id=pk)
        return Response(ImportSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class DiscardImport(APIView):
    """Discard an import."""

    name = "Discard the import"
    actions = {"POST": "import lists"}
    scope = SCOPE
    serializer_class = ImportSerializer

    @extend_schema(
        request=None,
        responses=answers({200: ImportSerializer}, 404, 409, body=True),
        methods=["POST"],
    )
    def post(self, request: Request, pk: int) -> Response:
        """Discard the file of an import that was previewed or waits. The list does not change."""
        row = start.discard(by=caller(request), import_id=pk)
        return Response(ImportSerializer(row).data)


class UndoImportSerializer(BodySerializer):
    example = {"reason": "the wrong file"}
    reason = ReasonField(required=True, allow_blank=False)


class UndoImport(CommandView):
    """Undo an import."""

    name = "Undo the import"
    actions = {"POST": "import lists"}
    queryset = ListImport.objects.all()
    serializer_class = UndoImportSerializer

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "id", int, "path", examples=[OpenApiExample("one that was applied", 2)]
            )
        ],
        request=json(UndoImportSerializer),
        responses=answers({200: ImportSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Undo an import within 30 days: retire what it added, match again what it retired."""
        row = undoing.undo(by=caller(request), import_id=pk, **self.given())
        return Response(ImportSerializer(row).data)


@extend_schema_view(
    get=extend_schema(
        summary="List the rows of an import that could not be used",
        responses=answers({200: BadRowSerializer(many=True)}, 404),
    )
)
class BadRows(generics.ListAPIView):
    """The rows of an import that could not be used."""

    name = "Bad rows"
    queryset = BadRow.objects.all()
    scope = SCOPE
    serializer_class = BadRowSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[BadRow]:
        return BadRow.objects.filter(run=readable_import(self.request, self.kwargs["pk"]))


class ExportList(APIView):
    """A list as a file."""

    name = "Export"
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
