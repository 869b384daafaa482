"""v1: share a search with an uploaded picture by a link, for a limited time."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.fields import PictureFileField
from gallery.api.schema import answers
from gallery.api.serializers import ConflictSerializer, data_link
from gallery.imaging.decoding.sniffing import sniff
from gallery.search import sharing
from gallery.shared.access import sender_of

MP4 = "video/mp4"


class ShareSearchSerializer(BodySerializer):
    """The picture or the clip of the search."""

    form_example: ClassVar[Any] = {}
    file = PictureFileField()


class SharedSearchSerializer(serializers.Serializer[Any]):
    """A link that was made: ``token`` opens it, until it ends."""

    token = serializers.CharField()
    ends_at = serializers.DateTimeField()


class OpenedSearchSerializer(serializers.Serializer[Any]):
    """The picture or the clip of a shared search, and when its link ends."""

    picture = serializers.CharField(
        required=False, help_text="Of a picture: a data: link to a small JPEG."
    )
    clip = serializers.CharField(
        required=False, help_text="Of a clip: a data: link to a small MP4."
    )
    ends_at = serializers.DateTimeField()


class ShareSearch(APIView):
    """Make a link to a search with an uploaded file."""

    scope = "search"
    throttle_cost = 10

    def copied(self, data: bytes) -> bytes:
        """Return the copy of a file that is kept."""
        raise NotImplementedError

    def share(self, request: Request) -> Response:
        body = ShareSearchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token, ends_at = sharing.share(
            data=body.validated_data["file"], sender=sender_of(request), copy=self.copied
        )
        answer = {"token": token, "ends_at": ends_at}
        return Response(answer, status=status.HTTP_201_CREATED)


share_schema = extend_schema(
    request={"multipart/form-data": ShareSearchSerializer},
    responses=answers({201: SharedSearchSerializer, 409: ConflictSerializer}, 503, body=True),
)


class SharedSearches(ShareSearch):
    """Make a link to a search with an uploaded picture."""

    name = "Shared searches"

    def copied(self, data: bytes) -> bytes:
        return sharing.copy_picture(data)

    @share_schema
    def post(self, request: Request) -> Response:
        """Keep a small copy of the picture for ``SHARE_HOURS``. Whoever may search and has the
        token gets it.
        """
        return self.share(request)


class OpenedSearch(APIView):
    """Read the picture or the clip behind the link of a shared search."""

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
        """Return the picture or the clip to search with."""
        copy, ends_at = sharing.opened(token, sender_of(request))
        is_picture = sniff(copy) is not None
        shown = {"picture": data_link(copy)} if is_picture else {"clip": data_link(copy, MP4)}
        return Response({**shown, "ends_at": ends_at})
