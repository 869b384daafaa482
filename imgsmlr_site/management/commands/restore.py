"""``manage.py restore``: a backup into an empty installation."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from gallery.shared.errors import UserError
from imgsmlr_site.backup.contents import verify
from imgsmlr_site.backup.restoring import restore


class Command(BaseCommand):
    help = (
        "Restore a backup into an empty installation, before its first start, and verify hashes, "
        "numbers of rows, and the audit. --check verifies the files of a backup alone."
    )
    # Some checks query the database, which does not run yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="what manage.py backup wrote")
        parser.add_argument("--check", action="store_true", help="verify its files; change nothing")

    def handle(self, *args: Any, directory: Path, check: bool, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            if check:
                self.check_files(directory)
            else:
                self.restore(directory)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error

    def check_files(self, directory: Path) -> None:
        manifest, size = verify(directory)
        self.stdout.write(
            f"All files are intact: {filesizeformat(size)}, made at {manifest.made_at} by version "
            f"{manifest.version}."
        )

    def restore(self, directory: Path) -> None:
        done = restore(directory, self.stderr.write)
        manifest = done.manifest
        rows = sum(manifest.tables.values())
        key = f"in {done.key_file}" if done.key_file else "that of SECRET_KEY"
        for line in (
            f"Restored the backup of {manifest.made_at}, made by version {manifest.version}.",
            f"{rows:,} rows of {len(manifest.tables)} tables: as many as the backup says.",
            f"{done.files:,} files: all hashes are right.",
            f"{done.events:,} events of the audit are intact.",
            f"The secret key is {key}.",
        ):
            self.stdout.write(line)
        if manifest.bucket:
            self.stdout.write(
                f"The media were in the bucket {manifest.bucket}: they are not in the backup. "
                "Bring back from its versions what was deleted since."
            )
        if done.migrated:
            self.stdout.write(f"{done.migrated} migrations brought the tables up to date.")
        if manifest.missing:
            self.stderr.write(
                f"{len(manifest.missing):,} files that rows name were missing when the backup was "
                f"made; {directory}/manifest.json lists them."
            )
        self.stdout.write(self.style.SUCCESS("Start the service now: manage.py up"))
