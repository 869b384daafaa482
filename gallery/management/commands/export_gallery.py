"""``manage.py export_gallery``: write all published images and their vectors to a directory."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.items.models import Image
from gallery.moving import exporting
from gallery.moving.storing import BUSY
from gallery.shared.errors import UserError
from gallery.shared.locking import Lock, only_one


class Command(BaseCommand):
    help = (
        "Export the published images: JSON lines, and NumPy arrays of their vectors. Run it again "
        "to resume. import_gallery reads it. Lists, cases and accounts are in backups only."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path)
        parser.add_argument(
            "--media", action="store_true", help="also the originals that are kept, and thumbnails"
        )

    def handle(self, *args: Any, directory: Path, media: bool, **options: Any) -> None:
        """The exit code after Ctrl-C is 130."""
        total = exporting.count()
        done = 0
        try:
            with (
                only_one(Lock.MOVING, BUSY),
                tqdm(total=total, unit="image", disable=None) as bar,
            ):
                for count in exporting.export(directory, media=media, by="command:export_gallery"):
                    done += count
                    bar.update(count)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Run the same command again to go on.")
            raise SystemExit(130) from None
        left = Image.objects.count() - total
        self.stdout.write(f"{done:,} images exported to {directory}.")
        if left:
            self.stdout.write(f"{left:,} images are not ready (waiting, failed, quarantined).")
