"""``manage.py add_videos``: a directory, a CSV file or a list of links, all at once."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.items.import_sources import read_sources
from gallery.items.importing import Outcome
from gallery.shared.errors import UserError
from videos.items.importing import import_videos

BY = "command:add_videos"
LABELS = {
    "added": "added",
    "held": "added but held back",
    "exists": "already there",
    "skipped": "no videos",
    "failed": "failed",
}


class Command(BaseCommand):
    """Adds what is not there yet; what failed is listed and stops nothing."""

    help = (
        "Add videos from a directory (with all below it), from a CSV file (columns file or url, "
        "data_id, remark, meta as JSON) or from a text file with a link a line, and index them. "
        "Run it again to resume: what is there already is passed over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The target and what goes with each video."""
        parser.add_argument("target", type=Path, metavar="DIR|FILE.csv|LINKS.txt")
        parser.add_argument("--data-id-prefix", default="", help="put before each data_id")
        parser.add_argument("--remark", help="for videos without a remark of their own")
        parser.add_argument("--report", type=Path, help="write what was not added to this CSV file")

    def handle(self, *args: Any, target: Path, **options: Any) -> None:
        """Raises CommandError when the target cannot be read; exit code 130 after Ctrl-C."""
        if not target.exists():
            raise CommandError(f"There is no {target}.")
        naming = {"prefix": options["data_id_prefix"], "remark": options["remark"]}
        counts: Counter[str] = Counter()
        try:
            total = sum(1 for _ in read_sources(target, **naming))
            with ExitStack() as stack:
                tell = self.reporter(stack, options["report"])
                bar = stack.enter_context(tqdm(total=total, unit="video", disable=None))
                for outcome in import_videos(
                    sources=read_sources(target, **naming),
                    by=BY,
                    tell=lambda share: bar.set_postfix_str(f"{share:.0%} of the next"),
                ):
                    counts[outcome.kind] += 1
                    tell(outcome)
                    bar.set_postfix_str("", refresh=False)
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
        """A function that notes what was not added, in the file, or failures on stderr."""
        if path is not None:
            stream = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
            writer = csv.writer(stream)
            writer.writerow(["source", "outcome", "reason"])

        def tell(outcome: Outcome) -> None:
            if not outcome.reason:
                return
            if path is not None:
                writer.writerow([outcome.source.name, outcome.kind, outcome.reason])
            elif outcome.kind == "failed":
                tqdm.write(f"{outcome.source.name}: {outcome.reason}", file=self.stderr)

        return tell
