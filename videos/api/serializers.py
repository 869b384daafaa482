"""Bodies of v1 requests and answers about videos."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from gallery.api.fields import UploadField
from gallery.api.serializers import (
    AddItemSerializer,
    DeletedSerializer,
    ItemSerializer,
    address,
)
from videos.decode.errors import VideoTooLarge
from videos.models import Video


class VideoFileField(UploadField):
    """Its value is the upload, which is on disk if it is large."""

    max_bytes_setting = "MAX_VIDEO_BYTES"
    too_large = VideoTooLarge
    advice = "a shorter or smaller version"


class VideoSerializer(ItemSerializer):
    """A stored video. Times in seconds."""

    copied = (*ItemSerializer.copied, "fps", "progress", "reindex", "reindex_failure")

    duration = serializers.FloatField(allow_null=True, help_text="Seconds; null until known.")
    progress = serializers.IntegerField(help_text="Of indexing, per cent.")
    file = serializers.CharField(
        allow_null=True,
        help_text="Absolute link for playing: the original where it is kept, else a small copy.",
    )

    class Meta:
        model = Video
        fields = [
            "id", "url", "data_id", "md5", "sha1", "sha256", "remark", "meta", "format", "width",
            "height", "bytes", "duration", "fps", "status", "failure", "progress", "reindex",
            "reindex_failure", "thumbnail", "file", "kept", "blurred", "clearable", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def has_file(self, item: Video) -> bool:
        return bool(item.original or item.proxy)

    def to_representation(self, item: Any) -> dict[str, Any]:
        duration = None if item.duration_ms is None else item.duration_ms / 1000
        return {**super().to_representation(item), "duration": duration}


def frame_url(request: Any, video: Video, ms: int) -> str:
    return f"{address(request, 'video-frame', video)}?t={ms / 1000:g}"


class AddVideoSerializer(AddItemSerializer):
    """One video to add: ``url`` (JSON) or ``file`` (multipart)."""

    contents = "video"
    example = {"url": "http://127.0.0.1:9000/film.mp4", "data_id": "example-1"}
    form_example = {"data_id": "example-1", "meta": {"album": "2024"}}
    file = VideoFileField(required=False)


class DeletedVideosSerializer(DeletedSerializer):
    """How many videos were deleted."""
