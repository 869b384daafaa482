"""``/api/v1/status/``: counts of items, match types, and queues."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.schema import answers
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.search import image_search
from gallery.search.match_types import MATCH_TYPES
from imgsmlr_site.health import queues
from videos.models import Video


class MatchTypeSerializer(serializers.Serializer[Any]):
    """One match type."""

    label = serializers.CharField()  # type: ignore[assignment]  # the name of the JSON key
    available = serializers.BooleanField()
    why = serializers.CharField(allow_null=True, help_text="why it is not available")
    default_threshold = serializers.FloatField()
    precise = serializers.FloatField(help_text="up to here matches are nearly always right")
    recall = serializers.FloatField(help_text="from here on mostly strangers are added")
    max_threshold = serializers.FloatField(help_text="the end of a slider")


class QueueSerializer(serializers.Serializer[Any]):
    """The queue of one cluster."""

    due = serializers.IntegerField()
    working = serializers.IntegerField()
    oldest = serializers.FloatField(help_text="seconds the oldest due task has waited")


class LimitsSerializer(serializers.Serializer[Any]):
    """The largest files that are taken, in bytes, and how long a search can be shared."""

    query_bytes = serializers.IntegerField(help_text="to search with, and pictures to add")
    video_bytes = serializers.IntegerField(help_text="videos to add")
    share_hours = serializers.IntegerField(help_text="how long a shared search is kept; 0: not")


class StatusSerializer(serializers.Serializer[Any]):
    """The state of the service."""

    version = serializers.CharField()
    images = serializers.DictField(child=serializers.IntegerField())
    videos = serializers.DictField(child=serializers.IntegerField())
    match_types = serializers.DictField(child=MatchTypeSerializer())
    queues = serializers.DictField(child=QueueSerializer())
    limits = LimitsSerializer()


def image_counts() -> dict[str, int]:
    return _by_status(Image.objects.all())


def video_counts() -> dict[str, int]:
    return _by_status(Video.objects.all())


def _by_status(items: QuerySet[Any]) -> dict[str, int]:
    counted = dict(items.order_by().values_list("status").annotate(Count("id")))
    return {status: counted.get(status, 0) for status in Status.values}


def match_types() -> dict[str, dict[str, Any]]:
    """Return each match type, whether it is available here, and what its distances mean."""
    reasons = image_search.unavailable_match_types()
    return {
        name: {
            "label": kind.label,
            "available": name not in reasons,
            "why": reasons.get(name),
            "default_threshold": kind.default,
            "precise": kind.precise,
            "recall": kind.recall,
            "max_threshold": kind.maximum,
        }
        for name, kind in MATCH_TYPES.items()
    }


class StatusView(APIView):
    name = "Status"
    scope = "search"

    @extend_schema(responses=answers({200: StatusSerializer}))
    def get(self, request: Request) -> Response:
        """Return counts, match types and queues, for dashboards and the search page."""
        return Response(
            {
                "version": settings.VERSION,
                "images": image_counts(),
                "videos": video_counts(),
                "match_types": match_types(),
                "queues": {
                    queue.name: {
                        "due": queue.due,
                        "working": queue.working,
                        "oldest": round(queue.oldest, 1),
                    }
                    for queue in queues()
                },
                "limits": {
                    "query_bytes": settings.MAX_UPLOAD_BYTES,
                    "video_bytes": settings.MAX_VIDEO_BYTES,
                    "share_hours": settings.SHARE_HOURS,
                },
            }
        )
