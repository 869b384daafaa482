"""v1: videos and what one does with them. Each view makes one service call."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.deletion import DELETION, DELETION_NAMES, deletion_of, told_why
from gallery.api.limits import MAX_DATA_ID, MAX_URL
from gallery.api.schema import answers, json, json_or_files
from gallery.api.serializers import ConflictSerializer, PatchSerializer
from gallery.api.visibility import check_own, hidden_from
from gallery.items import changing
from gallery.items.item import Status
from gallery.items.media_access import seen_by
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import NotFound, UserError
from videos.api.serializers import AddVideoSerializer, DeletedVideosSerializer, VideoSerializer
from videos.items import adding
from videos.models import Video

ADD_COST = 10
DELETED_BY = {"data_id", "url", "md5"}


class VideoFilter(filters.FilterSet):
    """Filters of the list."""

    data_id = filters.CharFilter(max_length=MAX_DATA_ID, strip=False)
    data_id_prefix = filters.CharFilter(
        "data_id", lookup_expr="startswith", max_length=MAX_DATA_ID, strip=False
    )
    url = filters.CharFilter(max_length=MAX_URL)
    md5 = filters.CharFilter(max_length=32)
    status = filters.ChoiceFilter(choices=Status.choices)

    class Meta:
        model = Video
        fields: list[str] = []


def visible_videos(request: Request) -> Any:
    """All but quarantined videos, which few may see."""
    return Video.objects.exclude(hidden_from(request))


@extend_schema_view(get=extend_schema(responses=answers({200: VideoSerializer(many=True)}, 404)))
class VideoCollection(generics.ListAPIView):
    """Add, list and delete videos."""

    queryset = Video.objects.all()
    scopes = {"GET": "search", "POST": "add", "DELETE": "add"}
    serializer_class = VideoSerializer
    filterset_class = VideoFilter

    def throttle_cost(self, request: Request) -> int:
        return ADD_COST if request.method == "POST" else 1

    def get_queryset(self) -> Any:
        return seen_by(access_of(self.request), visible_videos(self.request))

    @extend_schema(
        request=json_or_files(AddVideoSerializer),
        responses=answers({202: VideoSerializer, 409: ConflictSerializer}, body=True),
    )
    def post(self, request: Request) -> Response:
        """Add one video by ``url`` or as ``file``. Its ``progress`` says when it can be found."""
        body = AddVideoSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sender = sender_of(request)
        video = adding.add_video(**body.validated_data, by=sender.name, client=sender.client)
        answer = VideoSerializer(video, context=self.get_serializer_context())
        return Response(answer.data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        operation_id="videos_destroy_some",
        parameters=[*(OpenApiParameter(name, str) for name in sorted(DELETED_BY)), *DELETION],
        responses=answers({200: DeletedVideosSerializer, 409: ConflictSerializer}),
    )
    def delete(self, request: Request) -> Response:
        """Delete the videos with this ``data_id``, ``url`` or ``md5``, with all that is stored.

        None is deleted if one of them is withheld (409).
        """
        asked = deletion_of(request)
        names = request.query_params.keys() - DELETION_NAMES
        given = {name: request.query_params[name] for name in names}
        # A filter that is empty or misspelt must not delete more than was meant.
        if not given or not given.keys() <= DELETED_BY or not all(given.values()):
            raise UserError("Say which videos to delete: give data_id, url or md5, not empty.")
        videos = visible_videos(request).filter(**given)
        check_own(request, videos.order_by().values_list("added_by", flat=True).distinct())
        with told_why(request):
            deleted = changing.delete_items(items=videos, by=access_of(request).actor, **asked)
        return Response({"deleted": deleted})


@extend_schema_view(
    get=extend_schema(responses=answers({200: VideoSerializer}, 404)),
    delete=extend_schema(
        parameters=DELETION,
        responses=answers({204: None, 409: ConflictSerializer}, 404),
    ),
)
class VideoItem(generics.RetrieveAPIView):
    """One video."""

    queryset = Video.objects.all()
    scopes = {"GET": "search", "PATCH": "add", "DELETE": "add"}
    serializer_class = VideoSerializer

    def get_queryset(self) -> Any:
        return seen_by(access_of(self.request), visible_videos(self.request))

    def get_object(self) -> Video:
        video: Video | None = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if video is None:
            raise NotFound(f"There is no video {self.kwargs['pk']}.")
        return video

    @extend_schema(
        request=json(PatchSerializer),
        responses=answers({200: VideoSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change data_id, remark or meta."""
        video = self.get_object()
        check_own(request, [video.added_by])
        body = PatchSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        video = changing.update_item(
            model=Video, item_id=video.pk, fields=body.validated_data, by=access_of(request).actor
        )
        return Response(self.get_serializer(video).data)

    def delete(self, request: Request, pk: int) -> Response:
        """Delete the row, its frames and its files. The same video may be added again."""
        asked = deletion_of(request)
        video = self.get_object()
        check_own(request, [video.added_by])
        rows = Video.objects.filter(pk=video.pk)
        with told_why(request):
            changing.delete_items(items=rows, by=access_of(request).actor, **asked)
        return Response(status=status.HTTP_204_NO_CONTENT)
