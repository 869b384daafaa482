"""``manage.py prepare_models``: get what match types need onto this machine, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from gallery import descriptors


class Command(BaseCommand):
    """Downloads what is missing; says what cannot be had, and is content with that."""

    help = "Fetch the models of match types onto this machine."

    def handle(self, *args: Any, **options: Any) -> None:
        """Always succeeds: a match type without its model answers 503 and says why."""
        for name, why in descriptors.prepare().items():
            self.stdout.write(f"{name}: {why}")
