"""v1: cases, claims (locks), decisions and batches. API keys must be bound to a user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.schema import answers, json
from gallery.shared.errors import NotFound
from moderation.access.api import CommandView, caller
from moderation.access.permissions import Actor, can, check, person
from moderation.cases import deciding, locks, queue, retention, undoing
from moderation.cases.api import serializers as shapes
from moderation.cases.api.serializers import CaseSerializer, DecisionBatchSerializer
from moderation.cases.models import Decision, DecisionBatch, ReviewCase
from moderation.cases.queue import Filters

SCOPE: Final = "moderate"
DECISIONS = Prefetch(
    "decisions", queryset=Decision.objects.select_related("by", "batch", "case").order_by("pk")
)


class CaseView(CommandView):
    queryset = ReviewCase.objects.all()
    serializer_class: Any = CaseSerializer
    scope = SCOPE


@extend_schema_view(
    get=extend_schema(
        summary="List cases, newest first",
        parameters=[shapes.CaseQuerySerializer],
        responses=answers({200: CaseSerializer(many=True)}, 404),
    )
)
class CaseCollection(CaseView, generics.ListAPIView):
    """List cases, the newest first. ``cases/next/`` gives them in the order of the queue."""

    name = "Cases"
    row_links = ("claim", "decide")
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[ReviewCase]:
        asked = shapes.CaseQuerySerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        by = _reader(self.request)
        return _loaded(queue.cases(Filters.read(asked.validated_data), by))

    def get_serializer_context(self) -> dict[str, Any]:
        """The serializer needs the caller to hide votes."""
        return {**super().get_serializer_context(), "by": caller(self.request)}


class CaseItem(CaseView):
    name = "Case"
    numbered = True

    @extend_schema(responses=answers({200: CaseSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """Return a case with its matches and decisions."""
        return _case(pk, _reader(request))


class NextCase(CaseView):
    name = "Take the next case"
    actions = {"POST": "decide cases"}
    serializer_class = shapes.NextSerializer

    @extend_schema(
        request=json(shapes.NextSerializer),
        responses=answers({200: CaseSerializer, 204: None}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Claim the first case that you may decide, for ten minutes. If there is none, the status
        is 204."""
        by, given = caller(request), self.given()
        skipped = given.pop("skipped")
        case = locks.lock_next(by=by, filters=Filters.read(given), skipped=skipped)
        return Response(status=status.HTTP_204_NO_CONTENT) if case is None else _case(case.pk, by)


class ClaimCase(CaseView):
    name = "Claim"
    actions = {"POST": "decide cases"}
    serializer_class = shapes.ClaimSerializer

    @extend_schema(
        request=json(shapes.ClaimSerializer),
        responses=answers({200: CaseSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Claim a case and its cluster for ten minutes, or renew your claim."""
        by = caller(request)
        locks.lock(by=by, case_id=pk, **self.given())
        return _case(pk, by)


class ReleaseCase(CaseView):
    name = "Release"
    actions = {"POST": "decide cases"}
    serializer_class = shapes.ClaimSerializer

    @extend_schema(request=None, responses=answers({204: None}, 404, body=True))
    def post(self, request: Request, pk: int) -> Response:
        """Give up your claim on a case and its cluster, if you have one."""
        locks.unlock(by=caller(request), case_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Decide(CaseView):
    name = "Decide"
    actions = {"POST": "decide cases"}
    serializer_class = shapes.DecideSerializer

    @extend_schema(
        request=json(shapes.DecideSerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Confirm, dismiss or escalate one case."""
        return _decide(request, [pk], **self.given())


class DecideMany(CaseView):
    name = "Decide many cases"
    actions = {"POST": "decide cases"}
    serializer_class = shapes.DecideManySerializer

    @extend_schema(
        operation_id="moderation_cases_decide_many",
        request=json(shapes.DecideManySerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request) -> Response:
        """Make the same decision about up to 1,000 cases, as one batch: all of them or none."""
        given = self.given()
        return _decide(request, given.pop("cases"), **given)


class Appeal(CaseView):
    name = "Appeal"
    actions = {"POST": "decide cases"}
    serializer_class = shapes.SayingSerializer

    @extend_schema(
        parameters=[OpenApiParameter("id", int, "path", examples=[OpenApiExample("decided", 2)])],
        request=json(shapes.SayingSerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Reopen a decided case for another person. The old decision is kept and stays in force."""
        return _decide(request, [pk], verb=Decision.Verb.APPEAL, **self.given())


class LegalHold(CaseView):
    name = "Legal hold"
    actions = {"POST": "set and lift legal holds"}
    serializer_class = shapes.LegalHoldSerializer

    @extend_schema(
        request=json(shapes.LegalHoldSerializer),
        responses=answers({200: CaseSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Put a case under a legal hold, or change the end and reason of its hold. Nothing that the
        case needs is deleted during the hold. Only leads may do this."""
        by = caller(request)
        retention.set_hold(by=by, case_ids=[pk], **self.given())
        return _case(pk, by)


class LiftLegalHold(CaseView):
    name = "Lift the legal hold"
    actions = {"POST": "set and lift legal holds"}
    serializer_class = shapes.LiftSerializer

    @extend_schema(
        request=json(shapes.LiftSerializer),
        responses=answers({200: CaseSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Lift the legal hold of a case. Only leads may do this."""
        by = caller(request)
        retention.lift_hold(by=by, case_ids=[pk], **self.given())
        return _case(pk, by)


class BatchItem(CommandView):
    name = "Batch"
    numbered = True
    scope = SCOPE
    queryset = DecisionBatch.objects.all()
    serializer_class = DecisionBatchSerializer

    @extend_schema(responses=answers({200: DecisionBatchSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """Return the decisions that were made together."""
        return _batch(pk, _reader(request))


class UndoBatch(CommandView):
    name = "Undo"
    actions = {"POST": "decide cases"}
    scope = SCOPE
    queryset = DecisionBatch.objects.all()
    serializer_class = shapes.UndoSerializer

    def offers(self, method: str) -> bool:
        """Whether the pages show the method: the batch is the caller's own, or they are a lead."""
        by = caller(self.request)
        own = DecisionBatch.objects.filter(pk=self.kwargs["pk"], by=by.user)
        return can(by, "undo the decisions of others") or own.exists()

    @extend_schema(
        request=json(shapes.UndoSerializer),
        responses=answers({200: shapes.UndoneSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Undo a batch with all its effects. Moderators may undo their own batches. Leads may undo
        any."""
        done = undoing.undo_batch(by=caller(request), batch_id=pk, **self.given())
        return Response({"batch": pk, "undone": done.undone, "left": done.left})


def _reader(request: Request) -> Actor:
    by = caller(request)
    check(by, "view cases")
    person(by)
    return by


def _loaded(cases: queue.Cases) -> queue.Cases:
    return cases.select_related("claimed_by").prefetch_related("matches", DECISIONS)


def _case(pk: int, by: Actor) -> Response:
    case = _loaded(ReviewCase.objects.all()).existing(pk)
    return Response(CaseSerializer(case, context={"by": by}).data)


def _batch(pk: int, by: Actor, status: int = 200) -> Response:
    rows = DecisionBatch.objects.select_related("by", "undone_by").prefetch_related(DECISIONS)
    batch = rows.filter(pk=pk).first()
    if batch is None:
        raise NotFound(f"There is no batch {pk}.")
    return Response(DecisionBatchSerializer(batch, context={"by": by}).data, status=status)


def _decide(request: Request, ids: Iterable[int], **fields: Any) -> Response:
    by = caller(request)
    batch = deciding.decide(by=by, case_ids=ids, **fields)
    return _batch(batch.pk, by, status.HTTP_201_CREATED)
