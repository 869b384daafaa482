"""``manage.py describe_items``: compute missing vectors of list items."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from moderation.access.permissions import Actor
from moderation.lists import describing


class Command(BaseCommand):
    help = (
        "Describe items of lists that lack a model's vector, because it was not available when "
        "they were added, from the pictures that are kept of them. Run it again to resume."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count and change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        total = describing.lacking().count()
        if dry_run:
            self.stdout.write(f"{total} items lack a vector.")
            return
        failed = 0
        with tqdm(total=total, unit="item", disable=None) as bar:
            for pk, problem in describing.describe_missing(by=Actor.machine("command")):
                bar.update()
                if problem:
                    failed += 1
                    bar.write(f"item {pk}: {problem}", file=self.stderr)
        self.stdout.write(f"{total - failed} described, {failed} failed.")
