"""``manage.py export_gallery``: write all published images and their vectors to a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.db.models import QuerySet

from gallery.items.models import Image
from gallery.management.exports import ExportCommand
from gallery.moving import exporting


class Command(ExportCommand):
    help = (
        "Export the published images: JSON lines, and NumPy arrays of their vectors. Run it again "
        "to resume. import_gallery reads it. export_videos exports videos, to the same directory "
        "if you like. Lists, cases and accounts are in backups only."
    )
    contents = "images"
    unit = "image"
    media_help = "also the originals that are kept, and thumbnails"

    def ready(self) -> QuerySet[Image]:
        return Image.objects.ready()

    def every(self) -> QuerySet[Image]:
        return Image.objects.all()

    def export(self, directory: Path, *, media: bool) -> Iterator[int]:
        return exporting.export(directory, media=media, by="command:export_gallery")
