"""v1: find the moment of a video that a picture or a clip shows, and videos that share footage.

Times are in seconds here, and in milliseconds inside.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.bodies import BodySerializer
from gallery.api.fields import EXAMPLE_LINK, PictureFileField, PictureUrlField
from gallery.api.schema import answers, json_or_files
from gallery.items.media_access import set_visibility
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import UserError
from videos.api.serializers import VideoSerializer, frame_url
from videos.match import shared_footage, video_search
from videos.match.shared_footage import DEFAULT_CONFIDENCE, SharedFootage
from videos.match.video_search import VideoMatch, VideoRange

SEARCH_COST = 10
SIMILAR_COST = 10


def confidence_field(default: str) -> serializers.FloatField:
    return serializers.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text=f"Least confidence of a result. Default: {default}.",
    )


class VideoSearchSerializer(BodySerializer):
    """What to search for: a picture, an animation or a clip."""

    example = {"url": EXAMPLE_LINK}
    form_example = {"limit": 5}
    file = PictureFileField(required=False)
    url = PictureUrlField(required=False)
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=100, default=video_search.DEFAULT_LIMIT
    )
    min_confidence = confidence_field("above all strangers of the calibration")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("file") is None) == (attrs.get("url") is None):
            raise UserError("Give exactly one of file or url.")
        attrs["data"] = attrs.pop("file", None)
        return attrs


class SimilarSerializer(BodySerializer):
    """How many videos to return, and with which confidence."""

    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=100, default=video_search.DEFAULT_LIMIT
    )
    min_confidence = confidence_field(str(DEFAULT_CONFIDENCE))


class PairSerializer(serializers.Serializer):
    """A moment of the query and one of the video that show the same."""

    query_time = serializers.FloatField(help_text="Seconds.")
    time = serializers.FloatField(help_text="Seconds of the video.")
    similarity = serializers.FloatField(help_text="1 for equal.")
    frame = serializers.CharField(help_text="Link to a small JPEG of the video's moment.")


class VideoHitSerializer(serializers.Serializer):
    """The query from ``query_start`` to ``query_end`` shows the video from ``start`` to ``end``,
    all in seconds: video time = ``offset`` + ``speed`` × query time."""

    video = VideoSerializer()
    confidence = serializers.FloatField(help_text="Calibrated probability, 0 to 1.")
    start = serializers.FloatField()
    end = serializers.FloatField()
    query_start = serializers.FloatField()
    query_end = serializers.FloatField()
    offset = serializers.FloatField(help_text="Of a still: its moment.")
    speed = serializers.FloatField()
    mirrored = serializers.BooleanField()
    matches = PairSerializer(many=True)


class PlaceSerializer(serializers.Serializer):
    """A part of a video, in seconds."""

    video = serializers.IntegerField()
    start = serializers.FloatField()
    end = serializers.FloatField()


class VideoAnswerSerializer(serializers.Serializer):
    """The results, the most certain first."""

    results = VideoHitSerializer(many=True)
    low_information = serializers.BooleanField(
        help_text="The query is black, flat, noise or nearly so: nothing is looked for."
    )
    ambiguous = PlaceSerializer(
        many=True, help_text="Other places that show the query as well as the first result."
    )


class RangeSerializer(serializers.Serializer):
    """A part of this video that the other one shows from ``start`` to ``end``, in seconds."""

    own_start = serializers.FloatField()
    own_end = serializers.FloatField()
    start = serializers.FloatField()
    end = serializers.FloatField()
    speed = serializers.FloatField()
    confidence = serializers.FloatField()


class SharedSerializer(serializers.Serializer):
    """A video that shares footage with this one."""

    video = VideoSerializer()
    confidence = serializers.FloatField()
    share = serializers.FloatField(help_text="Of this video's pictures, 0 to 1.")
    segments = RangeSerializer(many=True)


class SharedAnswerSerializer(serializers.Serializer):
    """Videos that share footage with this one, the most certain first."""

    results = SharedSerializer(many=True)
    low_information = serializers.BooleanField(
        help_text="The video shows too little for others to be found."
    )


class VideoSearch(APIView):
    """Find videos by picture, animation or clip."""

    name = "Search videos"
    scope = "search"
    throttle_cost = SEARCH_COST

    @extend_schema(
        request=json_or_files(VideoSearchSerializer),
        responses=answers({200: VideoAnswerSerializer}, 503, body=True),
    )
    def post(self, request: Request) -> Response:
        """Return the videos that show the query, with times and confidence."""
        body = VideoSearchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        answer = video_search.search_videos(
            **body.validated_data, sender=sender_of(request), may_lag=True
        )
        set_visibility(access_of(request), [hit.video for hit in answer.results])
        return Response(
            {
                "results": [hit_body(hit, request) for hit in answer.results],
                "low_information": answer.low_information,
                "ambiguous": [place_body(place) for place in answer.ambiguous],
            }
        )


class VideoSimilar(APIView):
    """Find videos that share footage with this one."""

    name = "Videos with the same footage"
    scope = "search"
    throttle_cost = SIMILAR_COST

    @extend_schema(
        parameters=[SimilarSerializer],
        responses=answers({200: SharedAnswerSerializer}, 404),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return the other videos with the same footage, and where each has it."""
        asked = SimilarSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        answer = shared_footage.find_shared_footage(video_id=pk, **asked.validated_data)
        set_visibility(access_of(request), [shared.video for shared in answer.results])
        return Response(
            {
                "results": [shared_body(shared, request) for shared in answer.results],
                "low_information": answer.low_information,
            }
        )


def hit_body(hit: VideoMatch, request: Request) -> dict[str, Any]:
    times = ("start", "end", "query_start", "query_end", "offset")
    return {
        "video": VideoSerializer(hit.video, context={"request": request}).data,
        "confidence": hit.confidence,
        **{name: getattr(hit, name) / 1000 for name in times},
        "speed": hit.speed,
        "mirrored": hit.mirrored,
        "matches": [
            {
                "query_time": pair.query / 1000,
                "time": pair.time / 1000,
                "similarity": pair.similarity,
                "frame": frame_url(request, hit.video, pair.time),
            }
            for pair in hit.matches
        ],
    }


def place_body(place: VideoRange) -> dict[str, Any]:
    return {"video": place.video.pk, "start": place.start / 1000, "end": place.end / 1000}


def shared_body(shared: SharedFootage, request: Request) -> dict[str, Any]:
    return {
        "video": VideoSerializer(shared.video, context={"request": request}).data,
        "confidence": shared.confidence,
        "share": shared.share,
        "segments": [
            {
                "own_start": part.own_start / 1000,
                "own_end": part.own_end / 1000,
                "start": part.start / 1000,
                "end": part.end / 1000,
                "speed": part.speed,
                "confidence": part.confidence,
            }
            for part in shared.segments
        ],
    }
