"""v1: adding, searching, reading, changing and deleting images. Each view makes one call."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api import serializers
from gallery.api.deletion import DELETION, DELETION_NAMES, deletion_of, told_why
from gallery.api.limits import MAX_DATA_ID, MAX_URL
from gallery.api.schema import answers, json, json_or_files
from gallery.api.visibility import check_own, hidden_from, may_draw
from gallery.imaging import descriptors
from gallery.imaging.picture_limits import TooLarge
from gallery.items import adding, changing
from gallery.items.item import Status
from gallery.items.media_access import note_access, seen_by
from gallery.items.models import Image
from gallery.search import searching
from gallery.search.nearest import Filters, Match
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import Conflict, NotFound, UserError

FETCH_COST = ADD_COST = SEARCH_COST = 3
DELETED_BY = {"data_id", "url", "md5"}
WAIT = OpenApiParameter(
    "wait",
    {"type": "number", "minimum": 0, "maximum": 60},
    description="Seconds you are ready to wait: above 0 the picture is described and published "
    "before the answer (201). Without it the answer is 202 and the worker does it.",
)


class ImageFilter(filters.FilterSet):
    """Filters of the list."""

    data_id = filters.CharFilter(max_length=MAX_DATA_ID, strip=False)
    data_id_prefix = filters.CharFilter(
        "data_id", lookup_expr="startswith", max_length=MAX_DATA_ID, strip=False
    )
    url = filters.CharFilter(max_length=MAX_URL)
    md5 = filters.CharFilter(max_length=32)
    status = filters.ChoiceFilter(choices=Status.choices)

    class Meta:
        model = Image
        fields: list[str] = []


def visible_images(request: Request) -> Any:
    """All but quarantined images, which few may see."""
    return Image.objects.exclude(hidden_from(request))


def wait_of(request: Request) -> bool:
    """Whether the caller asked to wait for the description."""
    raw = request.query_params.get("wait", "0")
    try:
        seconds = float(raw)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise UserError("Give wait as seconds between 0 and 60.", field="wait")
    return seconds > 0


@extend_schema_view(
    get=extend_schema(responses=answers({200: serializers.ImageSerializer(many=True)}, 404))
)
class ImageCollection(generics.ListAPIView):
    """Add, list and delete images."""

    queryset = Image.objects.all()
    scopes = {"GET": "search", "POST": "add", "DELETE": "add"}
    serializer_class = serializers.ImageSerializer
    filterset_class = ImageFilter

    def throttle_cost(self, request: Request) -> int:
        return ADD_COST if request.method == "POST" else 1

    def get_queryset(self) -> Any:
        return seen_by(access_of(self.request), visible_images(self.request))

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

    @extend_schema(
        operation_id="images_destroy_some",
        parameters=[*(OpenApiParameter(name, str) for name in sorted(DELETED_BY)), *DELETION],
        responses=answers(
            {200: serializers.DeletedSerializer, 409: serializers.ConflictSerializer}
        ),
    )
    def delete(self, request: Request) -> Response:
        """Delete the images with this ``data_id``, ``url`` or ``md5``, with all that is stored.

        None is deleted if one of them is withheld (409).
        """
        asked = deletion_of(request)
        names = request.query_params.keys() - DELETION_NAMES
        given = {name: request.query_params[name] for name in names}
        # A filter that is empty or misspelt must not delete more than was meant.
        if not given or not given.keys() <= DELETED_BY or not all(given.values()):
            raise UserError("Say which images to delete: give data_id, url or md5, not empty.")
        images = visible_images(request).filter(**given)
        check_own(request, images.order_by().values_list("added_by", flat=True).distinct())
        with told_why(request):
            deleted = changing.delete_items(items=images, by=access_of(request).actor, **asked)
        return Response({"deleted": deleted})


class ImageBatch(APIView):
    """Add up to 100 pictures by URL."""

    scope = "add"

    def throttle_cost(self, request: Request) -> int:
        images = request.data.get("images") if isinstance(request.data, dict) else None
        return ADD_COST * (len(images) if isinstance(images, list) else 1)

    @extend_schema(
        request=json(serializers.BatchSerializer),
        responses=answers({202: serializers.BatchResultsSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Each picture succeeds or fails alone; the answer says which, in order."""
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
    """The common error shape, for errors inside an answer."""
    refused = isinstance(error, Conflict | TooLarge)
    kind = "client_error" if refused else "validation_error"
    body: dict[str, Any] = {"type": kind, "code": error.code, "detail": error.message}
    if error.field:
        body["field"] = error.field
    if isinstance(error, Conflict) and error.existing_id:
        body["existing_id"] = error.existing_id
    return body


@extend_schema_view(
    get=extend_schema(responses=answers({200: serializers.ImageSerializer}, 404)),
    delete=extend_schema(
        parameters=DELETION,
        responses=answers({204: None, 409: serializers.ConflictSerializer}, 404),
    ),
)
class ImageItem(generics.RetrieveAPIView):
    """One image."""

    queryset = Image.objects.all()
    scopes = {"GET": "search", "PATCH": "add", "DELETE": "add"}
    serializer_class = serializers.ImageSerializer

    def get_queryset(self) -> Any:
        return seen_by(access_of(self.request), visible_images(self.request))

    def get_object(self) -> Image:
        image: Image | None = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if image is None:
            raise NotFound(f"There is no image {self.kwargs['pk']}.")
        return image

    @extend_schema(
        request=json(serializers.PatchSerializer),
        responses=answers({200: serializers.ImageSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change data_id, remark or meta."""
        image = self.get_object()
        check_own(request, [image.added_by])
        body = serializers.PatchSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        image = changing.update_item(
            model=Image, item_id=image.pk, fields=body.validated_data, by=access_of(request).actor
        )
        return Response(self.get_serializer(image).data)

    def delete(self, request: Request, pk: int) -> Response:
        """Delete the row, its vectors and its files. The same picture may be added again."""
        asked = deletion_of(request)
        image = self.get_object()
        check_own(request, [image.added_by])
        rows = Image.objects.filter(pk=image.pk)
        with told_why(request):
            changing.delete_items(items=rows, by=access_of(request).actor, **asked)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ImageSearch(APIView):
    """Find images by picture, by stored image, or by words."""

    scope = "search"
    throttle_cost = SEARCH_COST

    @extend_schema(
        request=json_or_files(serializers.SearchSerializer),
        responses=answers({200: serializers.SearchResultSerializer}, 404, 503, body=True),
    )
    def post(self, request: Request) -> Response:
        """The nearest images within the threshold, nearest first."""
        body = serializers.SearchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        found = searching.search(
            searching.Query(
                url=asked.get("url"),
                data=asked.get("file"),
                image_id=asked.get("id"),
                text=asked.get("text"),
                sender=sender_of(request),
            ),
            match_type=asked.get("match_type")
            or searching.default_match_type(words="text" in asked),
            threshold=asked.get("threshold"),
            limit=asked.get("limit", min(settings.SEARCH_LIMIT, 100)),
            filters=Filters(asked.get("data_id_prefix") or "", asked.get("meta") or {}),
            explain=asked["explain"] and may_draw(request, asked.get("id")),
        )
        context = {"request": request}
        note_access(access_of(request), [match.image for match in found.matches])
        return Response(
            {
                "match_type": found.match_type,
                "threshold": found.threshold,
                "results": [
                    match_body(match, found.match_type, context) for match in found.matches
                ],
                "low_information": found.low_information,
                "unavailable": found.unavailable,
                "took_ms": found.took_ms,
            }
        )


def match_body(match: Match, match_type: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """One result of a search."""
    body: dict[str, Any] = {
        "image": serializers.ImageSerializer(match.image, context=context).data,
        "distance": match.distance,
        "confidence": match.confidence,
        "methods": match.methods or {match_type: match.distance},
        "geometry": match.geometry.as_dict() if match.geometry else None,
    }
    # It shows the picture clearly, and nobody counts that.
    if match.explanation and not body["image"]["blurred"]:
        body["explanation"] = f"data:image/jpeg;base64,{b64encode(match.explanation).decode()}"
    return body


class ImageCompare(APIView):
    """How alike two pictures are."""

    scope = "search"
    throttle_cost = 2 * FETCH_COST

    @extend_schema(
        request=json_or_files(serializers.CompareSerializer),
        responses=answers({200: serializers.ComparisonSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Their distance by every available match type; nothing is stored."""
        body = serializers.CompareSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        a, b = (
            searching.picture_of(url=asked.get(f"{side}_url"), data=asked.get(side))
            for side in ("a", "b")
        )
        return Response({**searching.compare(a, b), "unavailable": searching.unavailable()})
