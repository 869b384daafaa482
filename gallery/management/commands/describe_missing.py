"""``manage.py describe_missing``: compute descriptors that stored images lack."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.items import backfill, reprocessing
from gallery.moving import fetching
from gallery.shared.errors import UserError
from gallery.shared.low_priority import give_way


class Command(BaseCommand):
    """Computes missing descriptors, then makes searches use a newly configured CLIP model."""

    help = (
        "Describe images that lack a descriptor, such as CLIP vectors of a newly set model, and "
        "every picture in the files of images that an older version described. "
        "Searches go on with the old model until the last image is filled. Run it again to resume."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count and change nothing")
        parser.add_argument(
            "--switch-anyway",
            action="store_true",
            help="use the new CLIP model although some pictures cannot be read; "
            "they will not be found by clip",
        )
        parser.add_argument(
            "--fetch-pictures",
            action="store_true",
            help="first fetch the pictures of images that were moved in without their files",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        # It may take a core for days, beside the requests.
        give_way(settings.WORKER_NICE)
        super().run_from_argv(argv)

    def handle(
        self, *args: Any, dry_run: bool, switch_anyway: bool, fetch_pictures: bool, **options: Any
    ) -> None:
        left = fetching.without_picture().count()
        if dry_run:
            self._report_outdated()
            self.stdout.write(f"{left} images were moved in without their pictures.")
            return
        if fetch_pictures:
            counts = self._count(fetching.fetch_pictures(), left)
            self.stdout.write(
                f"{counts['filled']} pictures fetched, {counts['stale']} stale, "
                f"{counts['failed']} failed."
            )
        # First, so that the models then describe the pictures that this replaces.
        counts = self._count(reprocessing.reprocess_all(), reprocessing.count_outdated()[0])
        self.stdout.write(
            f"{counts['filled']} read again for every picture in their files, "
            f"{counts['stale'] + counts['failed']} could not be read."
        )
        missing = self._report_missing()
        counts = self._count(backfill.fill_missing(), missing.images)
        self.stdout.write(
            f"{counts['filled']} filled, {counts['stale']} stale, {counts['failed']} failed."
        )
        try:
            switched = backfill.switch_clip(anyway=switch_anyway)
        except UserError as error:
            raise CommandError(error.message) from error
        if switched:
            self.stdout.write(
                f"Searches use {switched} now. Workers delete the vectors of the model before it "
                "in some minutes."
            )

    def _report_outdated(self) -> None:
        left, links = reprocessing.count_outdated()
        self.stdout.write(
            f"{left} images were not read again for every picture in their files, "
            f"{links} of them would be fetched again."
        )
        missing = self._report_missing()
        self.stdout.write(f"{missing.links} of {missing.images} would be fetched again.")

    def _report_missing(self) -> backfill.Missing:
        missing = backfill.count_missing()
        for version, count in missing.by_version.items():
            self.stdout.write(f"{version}: {count} images lack it")
        return missing

    def _count(self, outcomes: Iterable[backfill.BackfillOutcome], total: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        with tqdm(total=total, unit="image", disable=None) as bar:
            for outcome in outcomes:
                counts[outcome.kind] += 1
                bar.update()
                if outcome.reason:
                    bar.write(f"image {outcome.image_id}: {outcome.reason}", file=self.stderr)
        return counts
