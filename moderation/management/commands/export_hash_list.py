"""``manage.py export_hash_list``: write a list to a file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.lists import exporting
from moderation.lists.formats.writing import WRITERS
from moderation.lists.models import BannedList

BY = Actor.machine("command:export_hash_list")


class Command(BaseCommand):
    """Writes to a file, or to standard output for ``-``."""

    help = "Write a banned list as CSV, as lines of kind and hash, or as ThreatExchange JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="LIST")
        parser.add_argument("file", metavar="FILE", help="- is standard output")
        parser.add_argument("--format", choices=[one.value for one in WRITERS], default="csv")

    def handle(self, *args: Any, name: str, file: str, **options: Any) -> None:
        """Raise CommandError if there is no such list or the file cannot be written."""
        row = BannedList.objects.filter(name=name).first()
        if row is None:
            raise CommandError(f"There is no list {name!r}.")
        try:
            _, pieces = exporting.export_list(by=BY, list_id=row.pk, format=options["format"])
            if file == "-":
                for piece in pieces:
                    sys.stdout.buffer.write(piece)
                return
            with Path(file).open("wb") as stream:
                stream.writelines(pieces)
        except (UserError, OSError) as error:
            raise CommandError(str(error)) from error
