"""``manage.py import_gallery``: import what ``export_gallery`` wrote."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from gallery.management.move_reports import MoveInCommand
from gallery.moving.archive import read_manifest
from gallery.moving.restoring import kept_versions, restore
from gallery.moving.storing import BUSY
from gallery.shared.errors import UserError
from gallery.shared.locking import Lock, only_one


class Command(MoveInCommand):
    help = "Import the images of an export_gallery, with their vectors. Run it again to resume."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("directory", type=Path)

    def handle(self, *args: Any, directory: Path, report: Path | None, **options: Any) -> None:
        """The exit code after Ctrl-C is 130."""
        try:
            with only_one(Lock.MOVING, BUSY):
                manifest = read_manifest(directory)
                counts = self.count(restore(directory, manifest), manifest.images, report)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stopped()
        self.say(counts)
        if manifest.clip and manifest.clip not in kept_versions(manifest):
            self.stdout.write(
                f"CLIP vectors of {manifest.clip} were skipped: this service uses another model."
            )
        if counts["added"] and not manifest.media:
            self.stdout.write(
                "The export holds no files: describe_missing --fetch-pictures fetches pictures "
                "that have a link."
            )
