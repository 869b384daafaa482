"""``manage.py index_missing``: index videos again that an older version indexed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from videos.items import reindexing
from videos.models import Video

BY = "command:index_missing"


class Command(BaseCommand):
    """Queues the videos for the video workers. Searches use the stored frames until then."""

    help = (
        "Index videos again that an older version indexed. Then new entries of lists are also "
        "compared with what a video shows only for a moment. Videos without an original are "
        "fetched again from their link."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count and change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            left = Video.objects.outdated()
            lost = left.filter(original="", url=None).count()
            self.stdout.write(
                f"{left.count()} videos were indexed by an older version; {lost} of them have "
                "neither an original nor a link."
            )
            return
        queued, lost = reindexing.index_older(by=BY)
        self.stdout.write(
            f"{queued} videos wait to be indexed again; {lost} cannot be, because they have "
            "neither an original nor a link."
        )
