"""``manage.py import_videos``: import what ``export_videos`` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gallery.management.exports import ImportCommand
from gallery.moving.storing import MoveOutcome
from videos.items.exporting import VideoManifest
from videos.items.restoring import restore


class Command(ImportCommand):
    help = "Import the videos of an export_videos, with their frames. Run it again to resume."
    manifest = VideoManifest

    def restore(self, directory: Path, manifest: VideoManifest) -> Iterator[MoveOutcome]:
        return restore(directory, manifest)

    def total(self, manifest: VideoManifest) -> int:
        return manifest.videos
