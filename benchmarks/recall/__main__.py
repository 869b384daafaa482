"""Run the benchmark and write its section of docs/benchmarks.md."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import report
from benchmarks.recall import (
    asking,
    corpus,
    database,
    duplicates,
    figures,
    methods,
    peers,
    table,
    transforms,
)
from benchmarks.recall.corpus import Source
from benchmarks.recall.split import FULL, QUICK, Split, calibrates, split

FULL_GALLERY = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """The full run takes up to 90 minutes on 2 cores, the quick one 10. A stopped run
    can be continued."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recall", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="100 originals, 12 edits")
    parser.add_argument("--workers", type=int, default=2, help="processes that search")
    options = parser.parse_args(arguments)
    found = corpus.sources(options.workers)
    unique = duplicates.unique(found)
    parts = split(unique, QUICK if options.quick else FULL)
    siblings = [s for s in duplicates.siblings(found, parts.gallery) if not calibrates(s)]
    rows = transforms.QUICK if options.quick else tuple(transforms.ROWS)
    gallery = database.gallery_digest(parts.gallery)
    with database.running(f"{'quick' if options.quick else 'full'}-{gallery}"):
        database.fill(parts.gallery, options.workers)
        if not options.quick:
            database.pad(FULL_GALLERY, options.workers)
        images = database.images()
        intro = table.corpus(found, unique, parts, siblings, images)
        body = "\n\n".join([intro, _measured(parts, siblings, rows, gallery, options.workers)])
        print(body)
        if options.quick:
            words, section = " --quick", ("recall-quick", "Recall, quick run")
        else:
            words, section = "", ("recall", "Recall")
        report.write(*section, f"python -m benchmarks.recall{words}", body)


def _measured(
    parts: Split, siblings: Sequence[Source], rows: Sequence[str], gallery: str, workers: int
) -> str:
    missing = methods.missing()
    names = [name for name in methods.METHODS if name not in missing]
    hashes = corpus.directory() / f"peers-{gallery}.npz"
    peers.prepare(parts.gallery, hashes, workers)
    questions = asking.run_questions(parts, rows, siblings)
    answers = asking.ask(questions, names, gallery, hashes, workers)
    measured = {
        name: figures.measure(
            answers[name],
            parts.test_originals,
            rows,
            parts.test_negatives,
            parts.calibration_negatives,
            siblings,
        )
        for name in names
    }
    errors = {
        name: figures.reliability(
            figures.claims(answers[name], parts.test_originals, rows, parts.test_negatives)
        )
        for name in methods.CALIBRATED
    }
    copies = asking.copies(parts.test_originals, rows, parts.test_negatives)
    latencies = asking.latency(copies, names, hashes)
    return "\n\n".join(
        [
            table.targets(measured["auto"], latencies["auto"][1], errors["auto"][0]),
            table.recall(measured, rows, missing),
            table.calibration(errors),
            table.cost(latencies, database.images(), database.bytes_per_image()),
        ]
    )


if __name__ == "__main__":
    main()
