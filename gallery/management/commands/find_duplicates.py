"""``manage.py find_duplicates``: find near-duplicates among the stored images."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.duplicates import scan
from gallery.duplicates.clusters import Cluster, all_clusters, find_groups
from gallery.shared.csv_export import csv_lines
from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import Lock, only_one

BUSY = Conflict("Another search for duplicates is running: wait until it ends.")


class Command(BaseCommand):
    """Compares the images that were not compared yet, and can export all clusters."""

    help = (
        "Find near-duplicates among the stored images. They are shown in the admin, under "
        "Duplicates, where you merge, delete or dismiss them. Run it again to resume, or to "
        "compare the images that were added since."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--min-confidence",
            type=float,
            metavar="0..1",
            help="least confidence that two images are copies; by default as in the last run, "
            "at first where the match type auto is precise",
        )
        parser.add_argument(
            "--restart",
            action="store_true",
            help="delete what was found and compare every image again, as another "
            "--min-confidence needs; what was marked as not duplicates stays so",
        )
        parser.add_argument(
            "--workers",
            type=int,
            default=len(os.sched_getaffinity(0)),
            help="processes that compare; as many as there are cores by default",
        )
        parser.add_argument(
            "--csv",
            type=Path,
            metavar="FILE",
            help="then write all clusters (id, keep, members, confidence) to this file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """The exit code after Ctrl-C is 130."""
        least = options["min_confidence"]
        if least is not None and not 0 < least <= 1:
            raise CommandError("--min-confidence must be above 0 and at most 1.")
        if options["workers"] < 1:
            raise CommandError("--workers must be at least 1.")
        try:
            with only_one(Lock.DUPLICATES, BUSY):
                run = scan.start_run(min_confidence=least, restart=options["restart"])
                self.scan(run, options["workers"])
            if options["csv"]:
                self.export(options["csv"])
        except UserError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{options['csv']} cannot be written: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Run the same command again to go on.")
            raise SystemExit(130) from None

    def scan(self, run: Any, workers: int) -> None:
        ids = list(scan.unscanned_images().values_list("pk", flat=True))
        with tqdm(total=len(ids), unit="image", disable=None) as bar:
            for batch in scan.scan_images(run, ids, workers=workers):
                bar.update(len(batch))
                for result in batch:
                    if result.problem:
                        bar.write(f"image {result.image_id}: {result.problem}", file=self.stderr)
        groups = find_groups()
        images = sum(len(group.ids) for group in groups)
        self.stdout.write(
            f"{len(ids)} images compared. {len(groups)} clusters of {images} images "
            f"at a confidence of {run.min_confidence:g} or more."
        )
        if waiting := scan.undescribed():
            self.stdout.write(
                f"{waiting} images lack the descriptor copy: the workers add it, or "
                "describe_missing does; then run this again."
            )

    def export(self, path: Path) -> None:
        """Write the clusters, the most certain first; members by id, the one to keep first."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            columns = ("id", "keep", "members", "confidence")
            stream.writelines(csv_lines(columns, map(_row, all_clusters())))


def _row(cluster: Cluster) -> tuple[Any, ...]:
    members = " ".join(str(member.image.pk) for member in cluster.members)
    return cluster.id, cluster.best.image.pk, members, f"{cluster.confidence:.6f}"
