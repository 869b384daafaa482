"""v1: statements of reasons, and notices of people."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from django.urls import reverse
from django_filters import rest_framework as filters
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.fields import EXAMPLE_LINK, PictureFileField, PictureUrlField
from gallery.api.schema import answers, json_or_files
from moderation.access.api import caller
from moderation.reports import notices, receipts, statements
from moderation.reports.models import Notice

NOTICE_COST: Final = 30
EXAMPLE: Final = {
    "reason": "intimate",
    "statement": "It shows me. I never agreed to it.",
    "name": "Ada Lovelace",
    "email": "ada@example.org",
}


class StatementSerializer(serializers.Serializer):
    """A statement of reasons, for the uploader."""

    case = serializers.IntegerField()
    state = serializers.ChoiceField(choices=list(statements.State))
    text = serializers.CharField(help_text="English, its paragraphs with an empty line between.")
    address = serializers.CharField(
        help_text="The page of the statement, where the uploader may appeal. Only for them."
    )
    may_appeal = serializers.BooleanField()
    appeal = serializers.CharField(help_text="What the uploader wrote; empty before an appeal.")
    appealed_at = serializers.DateTimeField(allow_null=True)


class CaseStatement(APIView):
    name = "Statement of reasons"
    scope = "moderate"

    @extend_schema(responses=answers({200: StatementSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """Return why the upload of a case was restricted, and where its uploader may appeal."""
        found = statements.of_case(by=caller(request), case_id=pk)
        data = statements.as_data(found.statement)
        return Response(
            {
                **{name: data[name] for name in ("case", "state", "text", "may_appeal")},
                "address": request.build_absolute_uri(found.path),
                "appeal": found.statement.appeal,
                "appealed_at": found.statement.appealed_at,
            }
        )


class NoticeSerializer(BodySerializer):
    """A notice that a picture must not be here: the picture by ``address`` or ``file``."""

    example: ClassVar[Any] = {**EXAMPLE, "address": EXAMPLE_LINK}
    form_example: ClassVar[Any] = EXAMPLE
    reason = serializers.ChoiceField(choices=Notice.Reason.choices)
    statement = serializers.CharField(
        max_length=notices.LONGEST, help_text="What is wrong with it, in the person's words."
    )
    name = serializers.CharField(max_length=notices.LONGEST_NAME)
    email = serializers.EmailField()
    address = PictureUrlField(required=False)
    file = PictureFileField(required=False)


class ReceivedSerializer(serializers.Serializer):
    """What became of a notice."""

    receipt = serializers.CharField(help_text="Signed. Whoever has it may ask for the outcome.")
    page = serializers.CharField(help_text="The page that shows the same, for the person.")
    received_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="48 hours later.")
    closed_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.ChoiceField(
        choices=Notice.Outcome.choices, allow_null=True, help_text="null: not decided yet."
    )


class NoticeForPeopleSerializer(serializers.ModelSerializer):
    """A notice as moderators see it: nothing of who sent it."""

    cases: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    is_overdue = serializers.BooleanField()

    class Meta:
        model = Notice
        fields = [
            "id", "reason", "statement", "address", "sha256", "cases", "created_at", "due_at",
            "is_overdue", "closed_at", "outcome",
        ]  # fmt: skip
        read_only_fields = fields


class ContactSerializer(serializers.ModelSerializer):
    """Who sent a notice. Empty ``NOTICE_CONTACT_DAYS`` after it was closed."""

    class Meta:
        model = Notice
        fields = ["id", "name", "email", "sent_by"]
        read_only_fields = fields


class NoticeFilter(filters.FilterSet):
    open = filters.BooleanFilter(
        field_name="closed_at", lookup_expr="isnull", help_text="Only those not closed, or closed."
    )
    reason = filters.ChoiceFilter(choices=Notice.Reason.choices)

    class Meta:
        model = Notice
        fields: list[str] = []


@extend_schema_view(
    get=extend_schema(
        operation_id="moderation_notices_list",
        summary="List notices: open ones first, those that end soonest",
        responses=answers({200: NoticeForPeopleSerializer(many=True)}, 404),
    )
)
class Notices(generics.ListAPIView):
    """Hand in and list notices."""

    name = "Notices"
    scopes: ClassVar[dict[str, str]] = {"GET": "moderate", "POST": "notices"}
    actions: ClassVar[dict[str, str]] = {"GET": "decide cases"}
    queryset = Notice.objects.all()
    serializer_class = NoticeForPeopleSerializer
    filterset_class = NoticeFilter

    def throttle_cost(self, request: Request) -> int:
        return NOTICE_COST if request.method == "POST" else 1

    def get_queryset(self) -> QuerySet[Notice]:
        return notices.listed(by=caller(self.request)).prefetch_related("cases")

    @extend_schema(
        operation_id="moderation_notices_create",
        request=json_or_files(NoticeSerializer),
        responses=answers({201: ReceivedSerializer}, 404, body=True),
    )
    def post(self, request: Request) -> Response:
        """Hand in a person's notice. Copies of the picture are searched, and people decide."""
        body = NoticeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        notice = notices.receive(by=caller(request), data=given.pop("file", None), **given)
        return Response(_said(request, receipts.issue(notice)), status=201)


class NoticeItem(APIView):
    name = "Notice"
    actions: ClassVar[dict[str, str]] = {"GET": "decide cases"}
    scope = "moderate"

    @extend_schema(
        operation_id="moderation_notices_retrieve",
        responses=answers({200: NoticeForPeopleSerializer}, 404),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a notice and the ids of its cases."""
        notice = notices.existing(by=caller(request), notice_id=pk)
        return Response(NoticeForPeopleSerializer(notice).data)


class NoticeContact(APIView):
    name = "Who sent the notice"
    actions: ClassVar[dict[str, str]] = {"POST": notices.CONTACTS}
    scope = "moderate"

    @extend_schema(request=None, responses=answers({200: ContactSerializer}, 404, body=True))
    def post(self, request: Request, pk: int) -> Response:
        """Return who sent a notice. Each look is an event of the audit."""
        notice = notices.contact(by=caller(request), notice_id=pk)
        return Response(ContactSerializer(notice).data)


class NoticeByReceipt(APIView):
    name = "What became of the notice"
    scope = "notices"

    @extend_schema(
        operation_id="moderation_notices_read",
        parameters=[
            OpenApiParameter(
                "receipt", str, "path", examples=[OpenApiExample("a receipt", "a-receipt")]
            )
        ],
        responses=answers({200: ReceivedSerializer}, 404),
    )
    def get(self, request: Request, receipt: str) -> Response:
        """Verify a receipt. Return what became of the notice."""
        return Response(_said(request, receipt))


def _said(request: Request, receipt: str) -> dict[str, Any]:
    known = receipts.read(receipt)
    notice = Notice.objects.filter(pk=known.notice).first()
    return {
        "receipt": receipt,
        "page": request.build_absolute_uri(reverse("notice-status", args=[receipt])),
        "received_at": known.received_at,
        "due_at": notice and notice.due_at,
        "closed_at": notice and notice.closed_at,
        "outcome": (notice and notice.outcome) or None,
    }
