"""The common part of ``add_images`` and ``add_videos``."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Final

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.items.import_sources import S3, Source, read_sources
from gallery.items.importing import ImportOutcome
from gallery.shared.csv_export import cell
from gallery.shared.errors import UserError

MAX_PRINTED_FAILURES: Final = 10


def _target(text: str) -> Path | str:
    return text if text.startswith(S3) else Path(text)


class AddItemsCommand(BaseCommand):
    """Adds items that are not stored yet. Failures are listed and do not stop the command.

    ``contents``: the noun for the items, in the plural. ``unit``: that of the progress bar.
    """

    contents: ClassVar[str]
    unit: ClassVar[str]

    def run_import(
        self, sources: Iterable[Source], bar: tqdm, options: Mapping[str, Any]
    ) -> Iterator[ImportOutcome]:
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "target", type=_target, metavar="DIR|FILE.csv|LINKS.txt|s3://BUCKET/PREFIX"
        )
        parser.add_argument("--data-id-prefix", default="", help="put before each data_id")
        parser.add_argument("--remark", help=f"for {self.contents} without a remark of their own")
        parser.add_argument("--report", type=Path, help="write what was not added to this CSV file")

    def handle(self, *args: Any, target: Path | str, **options: Any) -> None:
        """Raises CommandError if the target cannot be read. The exit code after Ctrl-C is 130."""
        if isinstance(target, Path) and not target.exists():
            raise CommandError(f"There is no {target}.")
        naming = {"prefix": options["data_id_prefix"], "remark": options["remark"]}
        counts: Counter[str] = Counter()
        try:
            total = sum(1 for _ in read_sources(target, **naming))
            with ExitStack() as stack:
                report = self._reporter(stack, options["report"])
                bar = stack.enter_context(tqdm(total=total, unit=self.unit, disable=None))
                for outcome in self.run_import(read_sources(target, **naming), bar, options):
                    counts[outcome.kind] += 1
                    report(outcome, counts)
                    bar.set_postfix_str("", refresh=False)
                    bar.update()
        except (UserError, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Run the same command again to go on.")
            raise SystemExit(130) from None
        finally:
            self.stdout.write(f"{self._summary(counts) or 'nothing to add'}.")

    def _summary(self, counts: Counter[str]) -> str:
        labels = {
            "added": "added",
            "held": "added but held back",
            "exists": "already there",
            "skipped": f"no {self.contents}",
            "failed": "failed",
        }
        return ", ".join(
            f"{counts[kind]} {label}" for kind, label in labels.items() if counts[kind]
        )

    def _reporter(
        self, stack: ExitStack, path: Path | None
    ) -> Callable[[ImportOutcome, Counter[str]], None]:
        """Return a function that writes failures to the file, or the first ones to stderr."""
        if path is not None:
            stream = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
            writer = csv.writer(stream)
            writer.writerow(["source", "outcome", "reason"])

        def report(outcome: ImportOutcome, counts: Counter[str]) -> None:
            if not outcome.reason:
                return
            if path is not None:
                writer.writerow(map(cell, (outcome.source.name, outcome.kind, outcome.reason)))
            elif outcome.kind == "failed" and counts["failed"] <= MAX_PRINTED_FAILURES:
                is_last = counts["failed"] == MAX_PRINTED_FAILURES
                more = " (use --report FILE to see all)" if is_last else ""
                tqdm.write(f"{outcome.source.name}: {outcome.reason}{more}", file=self.stderr)

        return report
