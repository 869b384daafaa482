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
from moderation.access.api import CommandView, caller
from moderation.access.permissions import Actor, check, person
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
    """A view of one case, or a command on it."""

    queryset = ReviewCase.objects.all()
    serializer_class: Any = CaseSerializer
    scope = SCOPE


@extend_schema_view(
    get=extend_schema(
        parameters=[shapes.CaseQuerySerializer],
        responses=answers({200: CaseSerializer(many=True)}, 404),
    )
)
class CaseCollection(CaseView, generics.ListAPIView):
    """Cases, the newest first. ``cases/next/`` gives them in the order of the queue."""

    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[ReviewCase]:
        asked = shapes.CaseQuerySerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        by = _reader(self.request)
        return _loaded(queue.cases(Filters.read(asked.validated_data), by))

    def get_serializer_context(self) -> dict[str, Any]:
        """The caller decides which votes are shown."""
        return {**super().get_serializer_context(), "by": caller(self.request)}


class CaseItem(CaseView):
    """One case."""

    @extend_schema(responses=answers({200: CaseSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """A case with its matches and decisions."""
        return _case(pk, _reader(request))


class NextCase(CaseView):
    """The queue."""

    serializer_class = shapes.NextSerializer

    @extend_schema(
        request=json(shapes.NextSerializer),
        responses=answers({200: CaseSerializer, 204: None}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Claim the first case that you may decide, for ten minutes; 204 if there is none."""
        by, given = caller(request), self.given()
        skipped = given.pop("skipped")
        case = locks.lock_next(by=by, filters=Filters.read(given), skipped=skipped)
        return Response(status=status.HTTP_204_NO_CONTENT) if case is None else _case(case.pk, by)


class ClaimCase(CaseView):
    """A claim on a case."""

    serializer_class = shapes.ClaimSerializer

    @extend_schema(
        request=json(shapes.ClaimSerializer),
        responses=answers({200: CaseSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Claim a case and its cluster for ten minutes, or renew that."""
        by = caller(request)
        locks.lock(by=by, case_id=pk, **self.given())
        return _case(pk, by)


class ReleaseCase(CaseView):
    """Giving a case back."""

    serializer_class = shapes.ClaimSerializer

    @extend_schema(request=None, responses=answers({204: None}, 404, body=True))
    def post(self, request: Request, pk: int) -> Response:
        """Give up your claim, if you have one."""
        locks.unlock(by=caller(request), case_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Decide(CaseView):
    """A decision."""

    serializer_class = shapes.DecideSerializer

    @extend_schema(
        request=json(shapes.DecideSerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Confirm, dismiss or escalate one case."""
        return _decide(request, [pk], **self.given())


class DecideMany(CaseView):
    """One decision about many cases."""

    serializer_class = shapes.DecideManySerializer

    @extend_schema(
        operation_id="moderation_cases_decide_many",
        request=json(shapes.DecideManySerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request) -> Response:
        """Decide up to 1,000 cases alike, all or none, as one batch."""
        given = self.given()
        return _decide(request, given.pop("cases"), **given)


class Appeal(CaseView):
    """An appeal."""

    serializer_class = shapes.SayingSerializer

    @extend_schema(
        request=json(shapes.SayingSerializer),
        responses=answers({201: DecisionBatchSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Reopen a decided case for somebody else; the old decision is kept and stays in force."""
        return _decide(request, [pk], verb=Decision.Verb.APPEAL, **self.given())


class LegalHold(CaseView):
    """A legal hold."""

    serializer_class = shapes.LegalHoldSerializer

    @extend_schema(
        request=json(shapes.LegalHoldSerializer),
        responses=answers({200: CaseSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Put a case under a legal hold, or change its end and reason: nothing that the case needs
        is deleted meanwhile. For leads."""
        by = caller(request)
        retention.set_hold(by=by, case_ids=[pk], **self.given())
        return _case(pk, by)


class LiftLegalHold(CaseView):
    """Ending a legal hold."""

    serializer_class = shapes.LiftSerializer

    @extend_schema(
        request=json(shapes.LiftSerializer),
        responses=answers({200: CaseSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Lift the legal hold of a case. For leads."""
        by = caller(request)
        retention.lift_hold(by=by, case_ids=[pk], **self.given())
        return _case(pk, by)


class BatchItem(CommandView):
    """One batch of decisions."""

    scope = SCOPE
    queryset = DecisionBatch.objects.all()
    serializer_class = DecisionBatchSerializer

    @extend_schema(responses=answers({200: DecisionBatchSerializer}, 404))
    def get(self, request: Request, pk: int) -> Response:
        """The decisions that were made together."""
        return _batch(pk, _reader(request))


class UndoBatch(CommandView):
    """Undoing."""

    scope = SCOPE
    queryset = DecisionBatch.objects.all()
    serializer_class = shapes.UndoSerializer

    @extend_schema(
        request=json(shapes.UndoSerializer),
        responses=answers({200: shapes.UndoneSerializer}, 404, 409, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Undo a batch with all its effects: your own, or, as a lead, anybody's."""
        done = undoing.undo_batch(by=caller(request), batch_id=pk, **self.given())
        return Response({"batch": pk, "undone": done.undone, "left": done.left})


def _reader(request: Request) -> Actor:
    """The caller, who must be a person that may view cases. Raises ``NotAllowed``."""
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
