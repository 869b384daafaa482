"""``manage.py transparency 2026-11``: print the numbers of a month."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.reports import transparency


class Command(BaseCommand):
    help = "Print the numbers of a month for a transparency report: cases, decisions, appeals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("month", help="such as 2026-11")
        parser.add_argument("--format", choices=("csv", "json"), default="csv", dest="form")

    def handle(self, *args: Any, month: str, form: str, **options: Any) -> None:
        try:
            found = transparency.export(by=Actor.machine("command"), month=month, form=form)
        except UserError as error:
            raise CommandError(error.message) from None
        self.stdout.write(found.decode(), ending="")
