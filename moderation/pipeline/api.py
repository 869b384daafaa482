"""v1: checks. The content is stored only if a case needs it."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.fields import MAX_BATCH, PictureFileField, PictureUrlField
from gallery.api.schema import answers, json, json_or_files
from gallery.api.serializers import ConflictSerializer, ErrorSerializer
from gallery.api.views import error_body
from gallery.shared.access import access_of
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.lists.verdicts import Verdict
from moderation.pipeline import check
from moderation.pipeline.check import CheckRequest

CHECK_COST: Final = 3
BATCH_SECONDS: Final = 45.0
MAX_KEY: Final = 200
EXAMPLE_HASH: Final = {"hash": "0123456789abcdef0123456789abcdef", "hash_type": "md5"}
KINDS: Final = ("md5", "sha1", "sha256", "pdq")
KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Your own name for this request, up to 200 characters. Sent again within a day it "
    "gets the same answer and opens no second case.",
)


class BatchCheckSerializer(BodySerializer):
    """A ``url`` or a ``hash``."""

    example = EXAMPLE_HASH
    url = PictureUrlField(required=False)
    hash = serializers.CharField(required=False, max_length=80)
    hash_type = serializers.ChoiceField(
        choices=KINDS, required=False, help_text="Can be left out of an md5 or sha1."
    )
    quality = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=100,
        help_text="Of a pdq; without it a pdq leads to review at most.",
    )


class CheckSerializer(BatchCheckSerializer):
    """A ``url``, a ``hash``, or a ``file``: a picture, an animation or a short video."""

    form_example: ClassVar[Any] = {}
    file = PictureFileField(required=False)


class CheckMatchSerializer(serializers.Serializer):
    """A matching item, within its list's threshold."""

    list = serializers.CharField()
    item = serializers.IntegerField()
    match_type = serializers.CharField()
    distance = serializers.FloatField()
    threshold = serializers.FloatField(help_text="Inclusive.")
    quality = serializers.IntegerField(allow_null=True, help_text="PDQ quality of the content.")
    time = serializers.FloatField(allow_null=True, help_text="Seconds into a video.")
    frame = serializers.IntegerField(allow_null=True, help_text="Of an animation, from 0.")
    rendering = serializers.CharField(
        allow_null=True,
        help_text="Which rendering of the file it was, such as black (what is seen on a black "
        "page), colour, unconverted, picture-1, thumbnail, video; null for the usual one.",
    )
    edit = serializers.CharField(
        allow_blank=True,
        help_text="How the item's picture was edited, if it matches only before that edit.",
    )
    verdict = serializers.ChoiceField(
        choices=[*Verdict], help_text="The verdict of this match alone."
    )


class CheckAnswerSerializer(serializers.Serializer):
    """The result of a check.

    All fields except the verdict are only for moderators and for keys with the scope ``lists``.
    """

    verdict = serializers.ChoiceField(choices=list(Verdict))
    matches = CheckMatchSerializer(many=True, required=False)
    methods_run = serializers.ListField(child=serializers.CharField(), required=False)
    list_versions = serializers.DictField(child=serializers.IntegerField(), required=False)
    case = serializers.IntegerField(
        allow_null=True, required=False, help_text="That somebody will decide."
    )
    unhashable = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Match types for which the content has too little detail.",
    )
    missing = serializers.DictField(
        child=serializers.CharField(),
        required=False,
        help_text="What could not be compared, and why.",
    )
    partly = serializers.DictField(
        child=serializers.CharField(),
        help_text="Match types by which some of its pictures were compared, and how many.",
    )


class CheckBatchSerializer(BodySerializer):
    """Up to 100 links and hashes."""

    example = {"checks": [EXAMPLE_HASH]}
    checks = BatchCheckSerializer(  # type: ignore[call-arg]  # the list's own arguments
        many=True, allow_empty=False, max_length=MAX_BATCH
    )


class CheckResultSerializer(serializers.Serializer):
    """An answer, or an error."""

    check = CheckAnswerSerializer(required=False)
    error = ErrorSerializer(required=False)


class CheckResultsSerializer(serializers.Serializer):
    """One result for each check, in the order of the checks."""

    results = CheckResultSerializer(many=True)


class Check(APIView):
    """Check one picture, animation, video or hash."""

    name = "Check"
    scope = "check"
    throttle_cost = CHECK_COST

    @extend_schema(
        operation_id="moderation_check",
        parameters=[KEY],
        request=json_or_files(CheckSerializer),
        responses=answers({200: CheckAnswerSerializer, 409: ConflictSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Return the verdict of the enabled lists, and the reasons if the caller may see them."""
        body = CheckSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by = Actor.caller(access_of(request))
        return Response(
            check.check(by=by, request=_check_request(body.validated_data), key=_key(request))
        )


class CheckBatch(APIView):
    """Check up to 100 links and hashes."""

    name = "Check many"
    scope = "check"

    def throttle_cost(self, request: Request) -> int:
        checks = request.data.get("checks") if isinstance(request.data, dict) else None
        return CHECK_COST * (len(checks) if isinstance(checks, list) else 1)

    @extend_schema(
        operation_id="moderation_check_batch",
        parameters=[KEY],
        request=json(CheckBatchSerializer),
        responses=answers({200: CheckResultsSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Check each entry. Each succeeds or fails alone; send those that ran out of time again."""
        body = CheckBatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by, key = Actor.caller(access_of(request)), _key(request)
        until = time.monotonic() + BATCH_SECONDS
        results = []
        for number, given in enumerate(body.validated_data["checks"]):
            try:
                if time.monotonic() > until:
                    raise UserError(
                        "The earlier checks took too long; send this one in another batch.",
                        code="batch_timeout",
                    )
                name = f"{key} {number}" if key else ""
                answer = check.check(by=by, request=_check_request(given), key=name)
                results.append({"check": answer})
            except UserError as error:
                results.append({"error": error_body(error)})
        return Response({"results": results})


def _check_request(given: dict[str, Any]) -> CheckRequest:
    return CheckRequest(
        url=given.get("url"),
        data=given.get("file"),
        hash=given.get("hash"),
        hash_type=given.get("hash_type"),
        quality=given.get("quality"),
    )


def _key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY or not key.isprintable():
        raise UserError(
            f"An Idempotency-Key has at most {MAX_KEY} printable characters.",
            code="invalid_idempotency_key",
        )
    return key
