"""Shapes of v1 requests and answers about videos."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse
from rest_framework import serializers

from gallery.api.fields import MetaField, PictureUrlField, VerbatimField
from gallery.api.limits import MAX_DATA_ID, MAX_REMARK, MAX_UPLOADER
from gallery.api.links import SOURCE
from gallery.api.visibility import BLURRED, CLEARABLE, blur
from videos.decode.errors import VideoTooLarge
from videos.models import Video


class VideoFileField(serializers.FileField):
    """An uploaded video. A large one lies on the disk."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_empty_file=True, use_url=False, help_text="In forms, not in JSON.", **kwargs
        )

    def to_internal_value(self, data: Any) -> UploadedFile:
        """Raises ``VideoTooLarge`` beyond the size limit. What the bytes are is decided later."""
        upload = cast(UploadedFile, super().to_internal_value(data))
        if (upload.size or 0) > settings.MAX_VIDEO_BYTES:
            raise VideoTooLarge(
                f"The file has {upload.size:,} bytes, more than the "
                f"{settings.MAX_VIDEO_BYTES:,} accepted; send a shorter or smaller version.",
                field=self.field_name,
            )
        return upload


class VideoSerializer(serializers.ModelSerializer):
    """A video as others see it. Times in seconds."""

    url = serializers.CharField(allow_null=True, help_text=SOURCE)
    duration = serializers.FloatField(allow_null=True, help_text="Seconds; null until known.")
    progress = serializers.IntegerField(help_text="Of indexing, per cent.")
    thumbnail = serializers.CharField(allow_null=True, help_text="Absolute link to a small JPEG.")
    file = serializers.CharField(
        allow_null=True,
        help_text="Absolute link for playing: the original where it is kept, else a small copy.",
    )
    kept = serializers.BooleanField(help_text="Whether the original is kept.")
    blurred = serializers.BooleanField(help_text=BLURRED)
    clearable = serializers.BooleanField(help_text=CLEARABLE)

    class Meta:
        model = Video
        fields = [
            "id",
            "url",
            "data_id",
            "md5",
            "sha1",
            "sha256",
            "remark",
            "meta",
            "format",
            "width",
            "height",
            "bytes",
            "duration",
            "fps",
            "status",
            "failure",
            "progress",
            "reindex",
            "reindex_failure",
            "thumbnail",
            "file",
            "kept",
            "blurred",
            "clearable",
            "created_at",
        ]
        read_only_fields = fields

    def to_representation(self, video: Video) -> dict[str, Any]:
        """Written out: through the fields it would take longer than the query."""
        request = self.context["request"]
        plain = (
            "id",
            "url",
            "data_id",
            "md5",
            "sha1",
            "sha256",
            "remark",
            "meta",
            "format",
            "width",
        )
        more = ("height", "bytes", "fps", "status", "failure", "progress", "reindex")
        playable = video.original or video.proxy
        return {
            **{name: getattr(video, name) for name in (*plain, *more)},
            "duration": None if video.duration_ms is None else video.duration_ms / 1000,
            "reindex_failure": video.reindex_failure,
            "thumbnail": link(request, "video-thumbnail", video) if video.thumbnail else None,
            "file": link(request, "video-file", video) if playable else None,
            "kept": bool(video.original),
            **blur(request, video),
            "created_at": video.created_at,
        }


def link(request: Any, name: str, video: Video) -> str:
    """The absolute address of one of a video's own views, for a request of either kind."""
    address: str = request.build_absolute_uri(reverse(name, args=[video.pk]))
    return address


def frame_url(request: Any, video: Video, ms: int) -> str:
    """The absolute address of the picture at a moment."""
    return f"{link(request, 'video-frame', video)}?t={ms / 1000:g}"


class AddVideoSerializer(serializers.Serializer):
    """One video to add: ``url`` (JSON) or ``file`` (multipart)."""

    url = PictureUrlField(required=False)
    file = VideoFileField(required=False)
    data_id = VerbatimField(max_length=MAX_DATA_ID)
    remark = VerbatimField(max_length=MAX_REMARK)
    meta = MetaField(required=False, allow_null=True)
    uploader = VerbatimField(max_length=MAX_UPLOADER)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A file may name the url it came from; one of them must be there."""
        if attrs.get("url") is None and attrs.get("file") is None:
            raise serializers.ValidationError({"url": "Give the video as url or as file."})
        return attrs


class DeletedVideosSerializer(serializers.Serializer):
    """How many videos a bulk delete took."""

    deleted = serializers.IntegerField()
