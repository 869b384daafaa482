"""v1: add, read, change and delete videos."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.item_views import ItemCollection, ItemDetail, collection_schema, detail_schema
from gallery.api.schema import answers, json_or_files
from gallery.api.serializers import ConflictSerializer
from gallery.api.views import wait_of
from gallery.items.item import Status
from gallery.shared.access import sender_of
from videos.api.serializers import AddVideoSerializer, DeletedVideosSerializer, VideoSerializer
from videos.items import adding, waiting
from videos.items.video_kind import VIDEO
from videos.models import Video

WAIT = OpenApiParameter(
    "wait",
    {"type": "number", "minimum": 0, "maximum": 60},
    description="Seconds you are ready to wait for the workers. The answer is 201 if the video is "
    "indexed, held or failed by then, else 202. While many wait already, it is 202 at once.",
)


@collection_schema("videos_destroy_some", VideoSerializer, DeletedVideosSerializer)
class VideoCollection(ItemCollection):
    """Add, list and delete videos."""

    name = "Videos"
    item_kind = VIDEO
    queryset = Video.objects.all()
    serializer_class = VideoSerializer
    add_cost = 10

    @extend_schema(
        parameters=[WAIT],
        request=json_or_files(AddVideoSerializer),
        responses=answers(
            {201: VideoSerializer, 202: VideoSerializer, 409: ConflictSerializer}, body=True
        ),
    )
    def post(self, request: Request) -> Response:
        """Add one video by ``url`` or as ``file``. Workers then index it: see ``progress``."""
        body = AddVideoSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sender = sender_of(request)
        seconds = wait_of(request)
        video = adding.add_video(**body.validated_data, by=sender.name, client=sender.client)
        video = waiting.until_indexed(video, seconds)
        is_pending = video.status == Status.PENDING
        code = status.HTTP_202_ACCEPTED if is_pending else status.HTTP_201_CREATED
        return Response(self.get_serializer(video).data, status=code)


@detail_schema(VideoSerializer)
class VideoItem(ItemDetail):
    """One video."""

    name = "Video"
    numbered = True
    item_kind = VIDEO
    queryset = Video.objects.all()
    serializer_class = VideoSerializer
