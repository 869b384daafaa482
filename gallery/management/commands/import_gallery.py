"""``manage.py import_gallery``: import what ``export_gallery`` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gallery.management.exports import ImportCommand
from gallery.moving.archive import Manifest
from gallery.moving.restoring import kept_versions, restore
from gallery.moving.storing import MoveOutcome


class Command(ImportCommand):
    help = "Import the images of an export_gallery, with their vectors. Run it again to resume."
    manifest = Manifest

    def restore(self, directory: Path, manifest: Manifest) -> Iterator[MoveOutcome]:
        return restore(directory, manifest)

    def total(self, manifest: Manifest) -> int:
        return manifest.images

    def advise(self, manifest: Manifest, *, added: bool) -> None:
        if manifest.clip and manifest.clip not in kept_versions(manifest):
            self.stdout.write(
                f"CLIP vectors of {manifest.clip} were skipped: this service uses another model."
            )
        if added and not manifest.media:
            self.stdout.write(
                "The export holds no files: describe_missing --fetch-pictures fetches pictures "
                "that have a link."
            )
