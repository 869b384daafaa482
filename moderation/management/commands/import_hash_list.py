"""``manage.py import_hash_list``: import a hash list of any size in this process."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.imports import run, start
from moderation.imports.models import ListImport
from moderation.imports.options import options as read_options
from moderation.lists.formats.reading import KNOWN, Format
from moderation.lists.formats.rows import HashKind
from moderation.lists.models import BannedList

BY = Actor.machine("command:import_hash_list")
WORDS = {
    "added": "added",
    "changed": "changed",
    "reactivated": "active again",
    "retired": "retired",
    "unchanged": "unchanged",
    "kept": "retired by hand and left so",
    "skipped": "hashes skipped",
    "bad": "bad rows",
}
BAD_ROWS_SHOWN = 10


class Command(BaseCommand):
    """Lists and skips invalid rows. Importing the same file again changes nothing."""

    help = (
        f"Import a hash list: {KNOWN}. An import that is interrupted has changed nothing: run it "
        "again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--list", required=True, help="name of the list")
        parser.add_argument("--dry-run", action="store_true", help="preview: change nothing")
        parser.add_argument(
            "--format", choices=[format.value for format in Format], default="",
            help="detected by default",
        )  # fmt: skip
        parser.add_argument("--source", default="", help="source of rows that name none")
        parser.add_argument(
            "--kind", choices=[kind.value for kind in HashKind], default="",
            help="kind of hashes given without one",
        )  # fmt: skip
        parser.add_argument(
            "--category", action="append", default=[],
            help="import only entries of this category (can be repeated)",
        )  # fmt: skip
        parser.add_argument(
            "--full", action="store_true",
            help="the file is complete for its sources: retire entries missing from it",
        )  # fmt: skip
        parser.add_argument("--yes", action="store_true", help="confirm a large change")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        """Raise CommandError if nothing was imported. Exit with code 130 after Ctrl-C."""
        name = options["list"]
        banned = BannedList.objects.filter(name=name).first()
        if banned is None:
            known = ", ".join(BannedList.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no list {name!r}; there are: {known}.")
        try:
            with file.open("rb") as stream:
                row = start.begin_here(
                    by=BY,
                    list_id=banned.pk,
                    stream=stream,
                    name=file.name,
                    format=options["format"],
                    options=read_options(
                        source=options["source"],
                        kind=options["kind"],
                        categories=options["category"],
                        full=options["full"],
                    ),
                    dry_run=options["dry_run"],
                    confirmed=options["yes"],
                )
                with tqdm(total=100, unit="%", desc=row.format, disable=None) as bar:
                    row = run.run(
                        by=BY,
                        import_id=row.pk,
                        stream=stream,
                        tell=lambda percent: bar.update(percent - bar.n),
                    )
                    bar.update(100 - bar.n)
        except (UserError, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Nothing was changed; run the same command again.")
            raise SystemExit(130) from None
        self.report(row)

    def report(self, row: ListImport) -> None:
        """Print the result of the import. Raise CommandError if it failed."""
        for bad in row.bad_rows.all()[:BAD_ROWS_SHOWN]:
            self.stderr.write(f"{bad.place}: {bad.reason}")
        if row.counts.get("bad", 0) > BAD_ROWS_SHOWN:
            more = row.counts["bad"] - BAD_ROWS_SHOWN
            self.stderr.write(f"… and {more:,} more bad rows; the import's page lists them.")
        if row.state == ListImport.State.FAILED:
            raise CommandError(row.failure)
        counts = [
            f"{row.counts[name]:,} {word}" for name, word in WORDS.items() if row.counts[name]
        ]
        would = "Would be: " if row.dry_run else ""
        self.stdout.write(f"{would}{', '.join(counts) or 'no entries'}.")
        if row.dry_run and run.is_large(row):
            self.stdout.write("This is a large change of the list: confirm it with --yes.")
