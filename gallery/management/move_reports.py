"""The common part of the commands that move galleries in."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NoReturn

from django.core.management.base import BaseCommand
from tqdm import tqdm

from gallery.moving.storing import MoveOutcome, analyze
from gallery.shared.csv_export import cell

MAX_PRINTED: Final = 10
LABELS: Final[Mapping[str, str]] = {
    "added": "added",
    "held": "added but held back",
    "exists": "already here",
    "merged": "merged into another row",
    "failed": "left out",
}


class MoveInCommand(BaseCommand):
    """Shows progress, and reports every row of which something is to be said."""

    counts: Counter[str] = Counter()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--report",
            type=Path,
            metavar="FILE",
            help="write every row that was merged, left out or given another id to this CSV file",
        )

    def count(
        self, outcomes: Iterable[MoveOutcome], total: int, report: Path | None
    ) -> Counter[str]:
        counts = self.counts = Counter[str]()
        said = 0
        with ExitStack() as stack:
            writer = None
            if report is not None:
                stream = stack.enter_context(report.open("w", newline="", encoding="utf-8"))
                writer = csv.writer(stream)
                writer.writerow(["row", "outcome", "image", "reason"])
            bar = stack.enter_context(tqdm(total=total, unit="row", disable=None))
            try:
                for outcome in outcomes:
                    counts[outcome.kind] += 1
                    bar.update()
                    if not outcome.reason:
                        continue
                    said += 1
                    if writer is not None:
                        row = (outcome.source_id, outcome.kind, outcome.image_id, outcome.reason)
                        writer.writerow(map(cell, row))
                    elif said <= MAX_PRINTED:
                        more = " (--report FILE writes all)" if said == MAX_PRINTED else ""
                        line = f"row {outcome.source_id}: {outcome.reason}{more}"
                        tqdm.write(line, file=self.stderr)
            finally:
                analyze(counts["added"])
        return counts

    def say(self, counts: Counter[str], *, would: bool = False) -> None:
        parts = [f"{counts[kind]:,} {label}" for kind, label in LABELS.items() if counts[kind]]
        told = "It would be: " if would else ""
        self.stdout.write(f"{told}{', '.join(parts) or 'nothing to import'}.")

    def stopped(self) -> NoReturn:
        """Print what was done so far, and end with the exit code of Ctrl-C, 130."""
        self.say(self.counts)
        self.stderr.write("Stopped. Run the same command again to go on.")
        raise SystemExit(130)
