"""``manage.py export_videos``: write all published videos and their frames to a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.db.models import QuerySet

from gallery.management.exports import ExportCommand
from videos.items import exporting
from videos.models import Video


class Command(ExportCommand):
    help = (
        "Export the published videos: JSON lines, NumPy arrays of their frames, small copies and "
        "thumbnails. Run it again to resume. import_videos reads it."
    )
    contents = "videos"
    unit = "video"
    media_help = "also the originals that are kept"

    def ready(self) -> QuerySet[Video]:
        return Video.objects.ready()

    def every(self) -> QuerySet[Video]:
        return Video.objects.all()

    def export(self, directory: Path, *, media: bool) -> Iterator[int]:
        return exporting.export(directory, media=media, by="command:export_videos")
