"""v1: add, search, read, change and delete images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api import serializers
from gallery.api.item_views import ItemCollection, ItemDetail, collection_schema, detail_schema
from gallery.api.schema import answers, json, json_or_files
from gallery.api.visibility import may_draw
from gallery.imaging import descriptors
from gallery.imaging.decoding.limits import TooLarge
from gallery.items import adding
from gallery.items.image_kind import IMAGE
from gallery.items.media_access import set_visibility
from gallery.items.models import Image
from gallery.search import confidence, image_search
from gallery.search.nearest import Filters, ImageMatch
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import Conflict, UserError

FETCH_COST = ADD_COST = SEARCH_COST = 3
WAIT = OpenApiParameter(
    "wait",
    {"type": "number", "minimum": 0, "maximum": 60},
    description="Seconds you are ready to wait: above 0 the picture is described and published "
    "before the answer (201). Without it the answer is 202 and the worker does it.",
)


def wait_of(request: Request) -> float:
    """Return the seconds that the caller is ready to wait; 0 for not at all."""
    raw = request.query_params.get("wait", "0")
    try:
        seconds = float(raw)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise UserError("Give wait as seconds between 0 and 60.", field="wait")
    return seconds


@collection_schema(
    "images_destroy_some", serializers.ImageSerializer, serializers.DeletedSerializer
)
class ImageCollection(ItemCollection):
    """Add, list and delete images."""

    name = "Images"
    item_kind = IMAGE
    queryset = Image.objects.all()
    serializer_class = serializers.ImageSerializer
    add_cost = ADD_COST

    @extend_schema(
        parameters=[WAIT],
        request=json_or_files(serializers.AddSerializer),
        responses=answers(
            {
                201: serializers.ImageSerializer,
                202: serializers.ImageSerializer,
                409: serializers.ConflictSerializer,
            },
            body=True,
        ),
    )
    def post(self, request: Request) -> Response:
        """Add one picture by ``url`` or as ``file``."""
        body = serializers.AddSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        inline = descriptors.available_names() if wait_of(request) else []
        sender = sender_of(request)
        image = adding.add_image(
            **body.validated_data, by=sender.name, client=sender.client, inline=inline
        )
        answer = serializers.ImageSerializer(image, context=self.get_serializer_context())
        code = status.HTTP_201_CREATED if inline else status.HTTP_202_ACCEPTED
        return Response(answer.data, status=code)


class ImageBatch(APIView):
    """Add up to 100 pictures by URL."""

    name = "Add many images"
    scope = "add"

    def throttle_cost(self, request: Request) -> int:
        images = request.data.get("images") if isinstance(request.data, dict) else None
        return ADD_COST * (len(images) if isinstance(images, list) else 1)

    @extend_schema(
        summary="Add up to 100 pictures by link",
        request=json(serializers.BatchSerializer),
        responses=answers({202: serializers.BatchResultsSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Add each picture on its own. The answer lists the results in the same order."""
        body = serializers.BatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sender = sender_of(request)
        outcomes = adding.add_batch(
            items=body.validated_data["images"], by=sender.name, client=sender.client
        )
        context = {"request": request}
        results = [
            {"error": error_body(outcome)}
            if isinstance(outcome, UserError)
            else {"image": serializers.ImageSerializer(outcome, context=context).data}
            for outcome in outcomes
        ]
        return Response({"results": results}, status=status.HTTP_202_ACCEPTED)


def error_body(error: UserError) -> dict[str, Any]:
    refused = isinstance(error, Conflict | TooLarge)
    kind = "client_error" if refused else "validation_error"
    body: dict[str, Any] = {"type": kind, "code": error.code, "detail": error.message}
    if error.field:
        body["field"] = error.field
    if isinstance(error, Conflict) and error.existing_id:
        body["existing_id"] = error.existing_id
    return body


@detail_schema(serializers.ImageSerializer)
class ImageItem(ItemDetail):
    """One image."""

    name = "Image"
    numbered = True
    item_kind = IMAGE
    queryset = Image.objects.all()
    serializer_class = serializers.ImageSerializer


class ImageSearch(APIView):
    """Find images by picture, by stored image, or by text."""

    name = "Search images"
    scope = "search"
    throttle_cost = SEARCH_COST

    @extend_schema(
        request=json_or_files(serializers.SearchSerializer),
        responses=answers({200: serializers.SearchResultSerializer}, 404, 503, body=True),
    )
    def post(self, request: Request) -> Response:
        """Return the images within the threshold, nearest first."""
        body = serializers.SearchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        found = image_search.search_images(
            image_search.ImageQuery(
                url=asked.get("url"),
                data=asked.get("file"),
                image_id=asked.get("id"),
                text=asked.get("text"),
                sender=sender_of(request),
            ),
            match_type=asked.get("match_type")
            or image_search.default_match_type(words="text" in asked),
            threshold=asked.get("threshold"),
            limit=asked.get("limit", min(settings.SEARCH_LIMIT, 100)),
            filters=Filters(asked.get("data_id_prefix") or "", asked.get("meta") or {}),
            explain=asked["explain"] and may_draw(request, asked.get("id")),
        )
        context = {"request": request}
        set_visibility(access_of(request), [match.image for match in found.matches])
        answer = {
            "match_type": found.match_type,
            "threshold": found.threshold,
            "results": [match_body(match, found.match_type, context) for match in found.matches],
            "low_information": found.low_information,
            "unavailable": found.unavailable,
            "took_ms": found.took_ms,
        }
        if found.picture and any(map(found.shows_query, found.matches)):
            answer["query"] = serializers.data_link(
                found.picture.thumbnail(image_search.QUERY_SIDE)
            )
        return Response(answer)


def match_body(match: ImageMatch, match_type: str, context: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "image": serializers.ImageSerializer(match.image, context=context).data,
        "distance": match.distance,
        "confidence": match.confidence,
        "certainty": (
            None if match.confidence is None else confidence.certainty(match.distance, match_type)
        ),
        "methods": match.methods or {match_type: match.distance},
        "geometry": match.geometry.as_dict() if match.geometry else None,
    }
    # A drawing shows the picture clearly without counting a clear look.
    if match.explanation and not body["image"]["blurred"]:
        body["explanation"] = serializers.data_link(match.explanation)
    return body


class ImageCompare(APIView):
    """Compare two pictures."""

    name = "Compare two pictures"
    scope = "search"
    throttle_cost = 2 * FETCH_COST

    @extend_schema(
        request=json_or_files(serializers.CompareSerializer),
        responses=answers({200: serializers.ComparisonSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Return the distances by every available match type. Nothing is stored."""
        body = serializers.CompareSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        a, b = (
            image_search.load_picture(url=asked.get(f"{side}_url"), data=asked.get(side))
            for side in ("a", "b")
        )
        return Response(
            {
                **image_search.compare_pictures(a, b),
                "unavailable": image_search.unavailable_match_types(),
            }
        )
