"""``manage.py backup``: database, media and secret key into one directory."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from gallery.shared.errors import UserError
from imgsmlr_site.backup.making import make_backup


class Command(BaseCommand):
    help = (
        "Back up the database, the media and the secret key into a new directory, also while the "
        "service runs. Media in a bucket (MEDIA_S3_URL) stay there. The directory holds all "
        "secrets: keep it as safe as the service itself."
    )
    # Some checks query the database, which may not run yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the new directory")

    def handle(self, *args: Any, directory: Path, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            made = make_backup(directory.absolute(), self.stderr.write)
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        rows = sum(made.manifest.tables.values())
        self.stdout.write(
            f"{directory}: {rows:,} rows of {len(made.manifest.tables)} tables, {made.files:,} "
            f"files ({filesizeformat(made.size)}), and the secret key."
        )
        if bucket := made.manifest.bucket:
            self.stdout.write(
                f"The media are not in it: they are in the bucket {bucket}. Let the storage keep "
                "deleted versions for as long as you keep backups."
            )
        if made.manifest.audit_id:
            self.stdout.write(f"The audit's last digest is {made.manifest.audit_digest}.")
        if missing := made.manifest.missing:
            self.stderr.write(
                f"{len(missing):,} files that rows name were not there; {directory}/manifest.json "
                f"lists them. The first is {missing[0]}."
            )
