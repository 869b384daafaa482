"""``manage.py prepare_models``: make or fetch the models of match types, once per machine."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gallery.imaging import descriptors


class Command(BaseCommand):
    """Fetches missing models, and reports those that are not available."""

    help = "Make or fetch the models of match types on this machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="MATCH_TYPE", help="copy, clip")

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        """Succeeds without models too: their match types then answer 503 and say why."""
        if unknown := set(names) - set(descriptors.MODELS):
            raise CommandError(
                f"No model to prepare for {', '.join(sorted(unknown))}: "
                f"name {' or '.join(descriptors.MODELS)}."
            )
        for name, why in descriptors.prepare(names or descriptors.MODELS).items():
            self.stdout.write(f"{name}: {why}")
