"""v1: share a search with an uploaded picture by a link, for a limited time."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.fields import PictureFileField
from gallery.api.schema import answers
from gallery.api.serializers import ConflictSerializer
from gallery.search import sharing
from gallery.shared.access import sender_of


class ShareSearchSerializer(BodySerializer):
    """The picture of the search."""

    form_example: ClassVar[Any] = {}
    file = PictureFileField()


class SharedSearchSerializer(serializers.Serializer[Any]):
    """A link that was made: ``token`` opens it, until it ends."""

    token = serializers.CharField()
    ends_at = serializers.DateTimeField()


class OpenedSearchSerializer(serializers.Serializer[Any]):
    """The picture of a shared search, and when its link ends."""

    picture = serializers.CharField(help_text="A data: link to a small JPEG.")
    ends_at = serializers.DateTimeField()


class SharedSearches(APIView):
    """Make a link to a search with an uploaded picture."""

    name = "Shared searches"
    scope = "search"
    throttle_cost = 10

    @extend_schema(
        request={"multipart/form-data": ShareSearchSerializer},
        responses=answers({201: SharedSearchSerializer, 409: ConflictSerializer}, 503, body=True),
    )
    def post(self, request: Request) -> Response:
        """Keep a small copy of the picture for ``SHARE_HOURS``. Whoever may search and has the
        token gets it.
        """
        body = ShareSearchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token, ends_at = sharing.share(data=body.validated_data["file"], sender=sender_of(request))
        answer = {"token": token, "ends_at": ends_at}
        return Response(answer, status=status.HTTP_201_CREATED)


class OpenedSearch(APIView):
    """Read the picture behind the link of a shared search."""

    name = "Shared search"
    scope = "search"
    throttle_cost = 3

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "token",
                str,
                "path",
                description="What sharing the search answered.",
                examples=[OpenApiExample("made up", "a-token")],
            )
        ],
        responses=answers({200: OpenedSearchSerializer}, 404, 503),
    )
    def get(self, request: Request, token: str) -> Response:
        """Return the picture to search with."""
        picture, ends_at = sharing.opened(token, sender_of(request))
        link = f"data:image/jpeg;base64,{b64encode(picture).decode()}"
        return Response({"picture": link, "ends_at": ends_at})
