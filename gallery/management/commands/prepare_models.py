"""``manage.py prepare_models``: make or fetch what match types need, once a machine."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gallery.imaging import descriptors


class Command(BaseCommand):
    """Fetches missing models, and reports those that cannot be had."""

    help = "Make or fetch the models of match types on this machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which match types; all by default."""
        parser.add_argument("names", nargs="*", metavar="MATCH_TYPE", help="copy, clip")

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        """Also succeeds without them: a match type without its model answers 503 and says why."""
        if unknown := set(names) - set(descriptors.MODELS):
            raise CommandError(
                f"No model to prepare for {', '.join(sorted(unknown))}: "
                f"name {' or '.join(descriptors.MODELS)}."
            )
        for name, why in descriptors.prepare(names or descriptors.MODELS).items():
            self.stdout.write(f"{name}: {why}")
