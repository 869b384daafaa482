"""``manage.py import_imgsmlr_server``: move in from the original imgsmlr-server."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from gallery.management.move_reports import MoveInCommand
from gallery.moving.imgsmlr_server import Contents, Source
from gallery.moving.storing import BUSY
from gallery.moving.taking_over import take_over
from gallery.shared.errors import UserError
from gallery.shared.locking import Lock, only_one


class Command(MoveInCommand):
    help = (
        "Take over the images of an original imgsmlr-server from its database: ids, links, data "
        "ids, remarks, meta and imgsmlr vectors. No picture is fetched; describe_missing "
        "--fetch-pictures does that. Run it again to resume."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "dsn",
            metavar="DSN",
            help="where the database is, such as postgresql://imgsmlr@127.0.0.1:5400/imgsmlr; "
            "PGPASSWORD or ~/.pgpass may hold the password",
        )
        parser.add_argument("--dry-run", action="store_true", help="report and change nothing")

    def handle(
        self, *args: Any, dsn: str, dry_run: bool, report: Path | None, **options: Any
    ) -> None:
        """The exit code after Ctrl-C is 130."""
        try:
            with only_one(Lock.MOVING, BUSY), Source(dsn) as source:
                found = source.contents()
                outcomes = take_over(source, highest_id=found.highest_id, dry_run=dry_run)
                counts = self.count(outcomes, found.rows, report)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{report} cannot be written: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stopped()
        self.say(counts, would=dry_run)
        self._say_what_is_left(found, bool(counts["added"]))

    def _say_what_is_left(self, found: Contents, added: bool) -> None:
        if found.clip:
            self.stdout.write(
                f"{found.clip:,} CLIP vectors were skipped: another model made them, so they "
                "cannot be compared with vectors made here."
            )
        if added:
            self.stdout.write(
                "The pictures themselves were not fetched, and lists compared md5s alone. "
                "describe_missing --fetch-pictures fetches them, for all match types and lists."
            )
