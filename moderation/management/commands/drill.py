"""Prove that the filter finds a harmless picture of ours, edited, through the whole pipeline."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from moderation.drill import running
from moderation.drill.models import Drill


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seconds", type=float, default=120, help="how long to wait (default: %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        drill = running.run(options["seconds"])
        if drill.state == Drill.State.RUNNING:
            raise CommandError(
                "The copies were not screened yet: do the workers run? The drill goes on."
            )
        if drill.state == Drill.State.FAILED:
            raise CommandError(" ".join(drill.missed))
        self.stdout.write(f"All copies were found, in {drill.seconds:.1f} s.")
