"""``manage.py remove_orphans``: remove files that no row names."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gallery.items import orphans
from gallery.shared.errors import UserError


class Command(BaseCommand):
    """Does what a worker does daily. ``--anyway`` removes any number of files."""

    help = "Remove files of the media directory that no row names, a day after they were written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="name them, and remove none")
        parser.add_argument("--anyway", action="store_true", help="however many they are")

    def handle(self, *args: Any, dry_run: bool, anyway: bool, **options: Any) -> None:
        if dry_run:
            names, total = orphans.find()
            for name in sorted(names):
                self.stdout.write(name)
            self.stdout.write(f"No row names {len(names):,} of {total:,} files.")
            return
        try:
            self.stdout.write(f"{orphans.remove(anyway=anyway):,} files removed.")
        except UserError as error:
            raise CommandError(error.message) from error
