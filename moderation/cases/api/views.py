"""v1: cases, claims (locks), decisions and batches. A key must be bound to a user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.schema import answers, json
from gallery.shared.errors import NotFound
from moderation.access.api import caller
from moderation.access.permissions import Actor, check, person
from moderation.cases import deciding, locks, queue, retention, undoing
from moderation.cases.api.serializers import (
    CaseQuerySerializer,
    CaseSerializer,
    ClaimSerializer,
    DecideManySerializer,
    DecideSerializer,
    DecisionBatchSerializer,
    LegalHoldSerializer,
    LiftSerializer,
    NextSerializer,
    SayingSerializer,
    UndoneSerializer,
    UndoSerializer,
)
from moderation.cases.models import Decision, DecisionBatch, ReviewCase
from moderation.cases.queue import Filters

SCOPE: Final = "moderate"
DECISIONS = Prefetch(
    "decisions", queryset=Decision.objects.select_related("by", "batch", "case").order_by("pk")
)


def reader(request: Request) -> Actor:
    """The caller, who must be a person that may view cases. Raises ``NotAllowed``."""
    by = caller(request)
    check(by, "view cases")
    person(by)
    return by


def loaded(cases: QuerySet[ReviewCase]) -> QuerySet[ReviewCase]:
    """Cases with all that the answers contain."""
    return cases.select_related("claimed_by").prefetch_related("matches", DECISIONS)


def shown(pk: int, by: Actor) -> Any:
    """One case as an answer. Raises ``NotFound``."""
    case = loaded(ReviewCase.objects.filter(pk=pk)).first()
    if case is None:
        raise NotFound(f"There is no case {pk}.")
    return CaseSerializer(case, context={"by": by}).data


def shown_batch(pk: int, by: Actor) -> Any:
    """One batch as an answer. Raises ``NotFound``."""
    rows = DecisionBatch.objects.select_related("by", "undone_by").prefetch_related(DECISIONS)
    batch = rows.filter(pk=pk).first()
    if batch is None:
        raise NotFound(f"There is no batch {pk}.")
    return DecisionBatchSerializer(batch, context={"by": by}).data


@extend_schema_view(
    get=extend_schema(
        parameters=[CaseQuerySerializer],
        responses=answers({200: CaseSerializer(many=True)}, 404),
    )
)
class CaseCollection(generics.ListAPIView):
    """Cases, the newest first. ``cases/next/`` gives them in the order of the queue."""

    queryset = ReviewCase.objects.all()
    serializer_class = CaseSerializer
    scope = SCOPE
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[ReviewCase]:
        asked = CaseQuerySerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        by = reader(self.request)
        return loaded(queue.cases(Filters.read(asked.validated_data), by))

    def get_serializer_context(self) -> dict[str, Any]:
        """The caller decides which votes are shown."""
        return {**super().get_serializer_context(), "by": caller(self.request)}


class CaseItem(generics.GenericAPIView):
    """One case."""

    queryset = ReviewCase.objects.all()
    serializer_class = CaseSerializer
    scope = SCOPE

    @extend_schema(responses=answers({200: CaseSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """A case with its matches and decisions."""
        return Response(shown(pk, reader(request)))


class NextCase(generics.GenericAPIView):
    """The queue."""

    serializer_class = NextSerializer
    scope = SCOPE

    @extend_schema(
        request=json(NextSerializer),
        responses=answers({200: CaseSerializer, 204: None}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Claim the first case that you may decide, for ten minutes; 204 if there is none."""
        body = NextSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by, skipped = caller(request), body.validated_data.pop("skipped")
        filters = Filters.read(body.validated_data)
        case = locks.lock_next(by=by, filters=filters, skipped=skipped)
        if case is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(shown(case.pk, by))


class ClaimCase(generics.GenericAPIView):
    """A claim on a case."""

    serializer_class = ClaimSerializer
    scope = SCOPE

    @extend_schema(
        request=json(ClaimSerializer),
        responses=answers({200: CaseSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Claim a case and its cluster for ten minutes, or renew that."""
        body = ClaimSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by = caller(request)
        locks.lock(by=by, case_id=pk, **body.validated_data)
        return Response(shown(pk, by))


class ReleaseCase(generics.GenericAPIView):
    """Giving a case back."""

    queryset = ReviewCase.objects.all()
    serializer_class = ClaimSerializer
    scope = SCOPE

    @extend_schema(request=None, responses=answers({204: None}, 404, body=True))
    def post(self, request: Request, pk: int) -> Response:
        """Give up your claim, if you have one."""
        locks.unlock(by=caller(request), case_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Decide(generics.GenericAPIView):
    """A decision."""

    serializer_class = DecideSerializer
    scope = SCOPE

    @extend_schema(
        request=json(DecideSerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Confirm, dismiss or escalate one case."""
        body = DecideSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return _decided(request, [pk], body.validated_data)


class DecideMany(generics.GenericAPIView):
    """One decision about many cases."""

    serializer_class = DecideManySerializer
    scope = SCOPE

    @extend_schema(
        operation_id="moderation_cases_decide_many",
        request=json(DecideManySerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request) -> Response:
        """Decide up to 1,000 cases alike, all or none, as one batch."""
        body = DecideManySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        ids = body.validated_data.pop("cases")
        return _decided(request, ids, body.validated_data)


class LegalHold(generics.GenericAPIView):
    """A legal hold."""

    queryset = ReviewCase.objects.all()
    serializer_class = LegalHoldSerializer
    scope = SCOPE

    @extend_schema(
        request=json(LegalHoldSerializer),
        responses=answers({200: CaseSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Put a case under a legal hold, or change its end and reason: nothing that the case needs
        is deleted meanwhile. For leads."""
        body = LegalHoldSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by = caller(request)
        retention.set_hold(by=by, case_ids=[pk], **body.validated_data)
        return Response(shown(pk, by))


class LiftLegalHold(generics.GenericAPIView):
    """Ending a legal hold."""

    queryset = ReviewCase.objects.all()
    serializer_class = LiftSerializer
    scope = SCOPE

    @extend_schema(
        request=json(LiftSerializer),
        responses=answers({200: CaseSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Lift the legal hold of a case. For leads."""
        body = LiftSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by = caller(request)
        retention.lift_hold(by=by, case_ids=[pk], **body.validated_data)
        return Response(shown(pk, by))


class Appeal(generics.GenericAPIView):
    """An appeal."""

    serializer_class = SayingSerializer
    scope = SCOPE

    @extend_schema(
        request=json(SayingSerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Reopen a decided case for somebody else; the old decision is kept and stays in force."""
        body = SayingSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return _decided(request, [pk], {**body.validated_data, "verb": "appeal"})


class BatchItem(generics.GenericAPIView):
    """One batch of decisions."""

    queryset = DecisionBatch.objects.all()
    serializer_class = DecisionBatchSerializer
    scope = SCOPE

    @extend_schema(responses=answers({200: DecisionBatchSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """The decisions that were made together."""
        return Response(shown_batch(pk, reader(request)))


class UndoBatch(generics.GenericAPIView):
    """Undoing."""

    serializer_class = UndoSerializer
    scope = SCOPE

    @extend_schema(
        request=json(UndoSerializer),
        responses=answers({200: UndoneSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Undo a batch with all its effects: your own, or, as a lead, anybody's."""
        body = UndoSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        done = undoing.undo_batch(by=caller(request), batch_id=pk, **body.validated_data)
        return Response({"batch": pk, "undone": done.undone, "left": done.left})


def _decided(request: Request, ids: Iterable[int], fields: dict[str, Any]) -> Response:
    by = caller(request)
    batch = deciding.decide(by=by, case_ids=ids, **fields)
    return Response(shown_batch(batch.pk, by), status=status.HTTP_201_CREATED)
