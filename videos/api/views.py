"""v1: add, read, change and delete videos."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.item_views import ItemCollection, ItemDetail, collection_schema, detail_schema
from gallery.api.schema import answers, json_or_files
from gallery.api.serializers import ConflictSerializer
from gallery.shared.access import sender_of
from videos.api.serializers import AddVideoSerializer, DeletedVideosSerializer, VideoSerializer
from videos.items import adding
from videos.items.video_kind import VIDEO
from videos.models import Video


@collection_schema("videos_destroy_some", VideoSerializer, DeletedVideosSerializer)
class VideoCollection(ItemCollection):
    """Add, list and delete videos."""

    name = "Videos"
    item_kind = VIDEO
    queryset = Video.objects.all()
    serializer_class = VideoSerializer
    add_cost = 10

    @extend_schema(
        request=json_or_files(AddVideoSerializer),
        responses=answers({202: VideoSerializer, 409: ConflictSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Add one video by ``url`` or as ``file``. Workers then index it: see ``progress``."""
        body = AddVideoSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sender = sender_of(request)
        video = adding.add_video(**body.validated_data, by=sender.name, client=sender.client)
        return Response(self.get_serializer(video).data, status=status.HTTP_202_ACCEPTED)


@detail_schema(VideoSerializer)
class VideoItem(ItemDetail):
    """One video."""

    name = "Video"
    numbered = True
    item_kind = VIDEO
    queryset = Video.objects.all()
    serializer_class = VideoSerializer
