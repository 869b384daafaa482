"""The common part of the commands that export, and of those that import exports."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from tqdm import tqdm

from gallery.management.move_reports import MoveInCommand
from gallery.moving.archive import BaseManifest, read_manifest
from gallery.moving.storing import BUSY, MoveOutcome
from gallery.shared.errors import UserError
from gallery.shared.locking import Lock, only_one


class ExportCommand(BaseCommand):
    """``contents``: the noun for the items, in the plural. ``unit``: that of the progress bar."""

    contents: ClassVar[str]
    unit: ClassVar[str]
    media_help: ClassVar[str]

    def ready(self) -> QuerySet[Any]:
        """Return what is exported."""
        raise NotImplementedError

    def every(self) -> QuerySet[Any]:
        raise NotImplementedError

    def export(self, directory: Path, *, media: bool) -> Iterator[int]:
        """Write the parts, and yield the number of items of each. Raises UserError."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path)
        parser.add_argument("--media", action="store_true", help=self.media_help)

    def handle(self, *args: Any, directory: Path, media: bool, **options: Any) -> None:
        """The exit code after Ctrl-C is 130."""
        total = self.ready().count()
        done = 0
        try:
            with (
                only_one(Lock.MOVING, BUSY),
                tqdm(total=total, unit=self.unit, disable=None) as bar,
            ):
                for count in self.export(directory, media=media):
                    done += count
                    bar.update(count)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Run the same command again to go on.")
            raise SystemExit(130) from None
        left = self.every().count() - total
        self.stdout.write(f"{done:,} {self.contents} exported to {directory}.")
        if left:
            self.stdout.write(
                f"{left:,} {self.contents} are not ready (waiting, failed, quarantined)."
            )


class ImportCommand(MoveInCommand):
    """``manifest``: that of the export."""

    manifest: ClassVar[type[BaseManifest]]

    def restore(self, directory: Path, manifest: Any) -> Iterator[MoveOutcome]:
        raise NotImplementedError

    def total(self, manifest: Any) -> int:
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("directory", type=Path)

    def handle(self, *args: Any, directory: Path, report: Path | None, **options: Any) -> None:
        """The exit code after Ctrl-C is 130."""
        try:
            with only_one(Lock.MOVING, BUSY):
                manifest = read_manifest(directory, self.manifest)
                outcomes = self.restore(directory, manifest)
                counts = self.count(outcomes, self.total(manifest), report)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stopped()
        self.say(counts)
        self.advise(manifest, added=bool(counts["added"]))

    def advise(self, manifest: Any, *, added: bool) -> None:
        """Say what else is to be done."""
