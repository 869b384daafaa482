"""``manage.py add_images``: a directory, a CSV file or a list of links, all at once."""

from __future__ import annotations

import csv
import os
from argparse import ArgumentParser
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.items.import_sources import read_sources
from gallery.items.importing import Outcome, import_images
from gallery.shared.errors import UserError

BY = "command:add_images"
LABELS = {
    "added": "added",
    "held": "added but held back",
    "exists": "already there",
    "skipped": "no pictures",
    "failed": "failed",
}
SHOWN = 10


class Command(BaseCommand):
    """Adds what is not there yet; what failed is listed and stops nothing."""

    help = (
        "Add pictures from a directory (with all below it), from a CSV file (columns file or url, "
        "data_id, remark, meta as JSON) or from a text file with a link a line. Run it again to "
        "resume: what is there already is passed over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The target and what goes with each picture."""
        parser.add_argument("target", type=Path, metavar="DIR|FILE.csv|LINKS.txt")
        parser.add_argument("--data-id-prefix", default="", help="put before each data_id")
        parser.add_argument("--remark", help="for pictures without a remark of their own")
        parser.add_argument(
            "--workers",
            type=int,
            default=len(os.sched_getaffinity(0)),
            help="processes that read and describe; as many as there are cores by default",
        )
        parser.add_argument(
            "--embed",
            action="store_true",
            help="run the models (copy, clip) now, on every core, not in the background",
        )
        parser.add_argument("--report", type=Path, help="write what was not added to this CSV file")

    def handle(self, *args: Any, target: Path, **options: Any) -> None:
        """Raises CommandError when the target cannot be read; exit code 130 after Ctrl-C."""
        if not target.exists():
            raise CommandError(f"There is no {target}.")
        if options["workers"] < 1:
            raise CommandError("--workers must be at least 1.")
        naming = {"prefix": options["data_id_prefix"], "remark": options["remark"]}
        counts: Counter[str] = Counter()
        try:
            total = sum(1 for _ in read_sources(target, **naming))
            with ExitStack() as stack:
                tell = self.reporter(stack, options["report"])
                bar = stack.enter_context(tqdm(total=total, unit="image", disable=None))
                for outcome in import_images(
                    sources=read_sources(target, **naming),
                    by=BY,
                    workers=options["workers"],
                    embed=options["embed"],
                ):
                    counts[outcome.kind] += 1
                    tell(outcome, counts)
                    bar.update()
        except (UserError, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Run the same command again to go on.")
            raise SystemExit(130) from None
        finally:
            summary = [f"{counts[kind]} {label}" for kind, label in LABELS.items() if counts[kind]]
            self.stdout.write((", ".join(summary) or "nothing to add") + ".")

    def reporter(self, stack: ExitStack, path: Path | None) -> Any:
        """A function that notes what was not added, in the file or the first ones on stderr."""
        if path is not None:
            stream = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
            writer = csv.writer(stream)
            writer.writerow(["source", "outcome", "reason"])

        def tell(outcome: Outcome, counts: Counter[str]) -> None:
            if not outcome.reason:
                return
            if path is not None:
                writer.writerow([outcome.source.name, outcome.kind, outcome.reason])
            elif outcome.kind == "failed" and counts["failed"] <= SHOWN:
                more = " (use --report FILE to see all)" if counts["failed"] == SHOWN else ""
                tqdm.write(f"{outcome.source.name}: {outcome.reason}{more}", file=self.stderr)

        return tell
