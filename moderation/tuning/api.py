"""v1: the evidence about a threshold, the preview of another one, and setting it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.bodies import BodySerializer
from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer
from moderation.access.api import CommandView, caller
from moderation.lists.api.lists import MATCH_TYPE
from moderation.tuning import thresholds
from moderation.tuning.curves import suggest
from moderation.tuning.thresholds import ThresholdEvidence


class IntervalSerializer(serializers.Serializer):
    """An estimate with its 95 % interval, each from 0 to 1."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class PointSerializer(serializers.Serializer):
    """The numbers at one threshold. ``precision`` and ``recall`` are null if there are too few
    decisions (see docs/tuning.md)."""

    threshold = serializers.FloatField()
    matched = serializers.IntegerField(help_text="recorded matches within it, one per subject")
    decided = serializers.IntegerField(help_text="of them")
    confirmed = serializers.IntegerField(help_text="of them")
    precision = IntervalSerializer(allow_null=True)
    recall = IntervalSerializer(
        allow_null=True, help_text="of the matches within the observe distance"
    )


class MoveSerializer(serializers.Serializer):
    """What another threshold would have changed, in numbers of recorded matches."""

    added = serializers.IntegerField()
    dropped = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    dismissed = serializers.IntegerField()
    left_open = serializers.IntegerField(
        help_text="undecided cases that nothing else opened; a lower threshold closes none"
    )


class ThresholdSerializer(serializers.Serializer):
    """The evidence about the threshold of one list and match type."""

    list = serializers.IntegerField()
    match_type = serializers.CharField()
    threshold = serializers.FloatField()
    observe = serializers.FloatField()
    decided = serializers.IntegerField()
    points = PointSerializer(many=True)
    suggested = serializers.FloatField(allow_null=True, required=False)
    move = MoveSerializer(required=False)


class ApplySerializer(BodySerializer):
    """A threshold to set. Null sets the default."""

    example = {"threshold": 30, "reason": "More precise by the decisions so far"}
    threshold = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(max_length=500)


class AppliedSerializer(serializers.Serializer):
    """``scan``: the rescan of stored content, if the threshold was raised."""

    threshold = serializers.FloatField(allow_null=True)
    scan = serializers.IntegerField(allow_null=True)


class QuestionSerializer(BodySerializer):
    proposed = serializers.FloatField(required=False)
    precision = serializers.FloatField(required=False, min_value=0.01, max_value=0.999)


class Threshold(CommandView):
    name = "Threshold"
    numbered = True
    actions = {"POST": "edit lists"}
    serializer_class = ApplySerializer

    @extend_schema(
        parameters=[
            MATCH_TYPE,
            OpenApiParameter("proposed", float, description="Also answer what this would change."),
            OpenApiParameter(
                "precision", float, description="Also suggest the largest threshold for this."
            ),
        ],
        responses=answers({200: ThresholdSerializer}, 404),
    )
    def get(self, request: Request, pk: int, match_type: str) -> Response:
        """Return precision and recall at every threshold, from the decisions so far."""
        asked = QuestionSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        by = caller(request)
        seen = thresholds.evidence(by=by, list_id=pk, match_type=match_type)
        answer = _evidence(seen)
        if "precision" in asked.validated_data:
            point = suggest(seen.curves, asked.validated_data["precision"])
            answer["suggested"] = point.threshold if point else None
        if "proposed" in asked.validated_data:
            proposed = asked.validated_data["proposed"]
            found = thresholds.preview(by=by, seen=seen, proposed=proposed)
            answer["move"] = {**asdict(found.move), "left_open": found.left_open}
        return Response(answer)

    @extend_schema(
        parameters=[MATCH_TYPE],
        request=json(ApplySerializer),
        responses=answers({200: AppliedSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int, match_type: str) -> Response:
        """Set the threshold. It applies from the next request on."""
        done = thresholds.apply(
            by=caller(request), list_id=pk, match_type=match_type, **self.given()
        )
        scan = done.scan.pk if done.scan else None
        return Response({"threshold": done.method.threshold, "scan": scan})


def _evidence(seen: ThresholdEvidence) -> dict[str, Any]:
    return {
        "list": seen.list.pk,
        "match_type": seen.match_type,
        "threshold": seen.bounds.threshold,
        "observe": seen.bounds.near_miss,
        "decided": seen.evidence.decided,
        "points": [asdict(point) for point in seen.curves.points],
    }
