"""Edited copies of items that are known only by a hash: recall, false hits, time.

The limits of edits were chosen with one half of the pictures. All figures, and the list, are of the
other half. ``--half chosen`` measures the first half.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import cv2
import numpy as np

from benchmarks import report, service
from benchmarks.hash_edits import corpus, measure
from benchmarks.hash_edits.edits import EDITS
from benchmarks.hash_edits.measure import PARTS, Copy, Place, Stranger, padded, places
from moderation.lists import hash_index
from moderation.lists.hash_index import Hashes, HashIndex

ITEMS, STRANGERS, PHOTOGRAPHS = 500, 10_000, 1_000
QUICK: Final = 10
"""``--quick`` divides the numbers of pictures by this."""
LIST, TIMED = 1_000_000, 40
HALVES: Final = (2,)
"""Strangers are also cut into this many parts per side; the few photographs into all ``PARTS``."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks hash-edits", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="processes that unpack pictures")
    parser.add_argument("--half", choices=("held-out", "chosen"), default="held-out")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    less = QUICK if options.quick else 1
    held_out = options.half == "held-out"
    paths = [p for p in corpus.pictures(options.workers) if corpus.held_out(p) == held_out]
    Random(5).shuffle(paths)
    listed = [path for path in paths if corpus.on_list(path)]
    others = [path for path in paths if not corpus.on_list(path)]
    with tempfile.TemporaryDirectory() as directory:
        hashes, rows = _list(listed)
        index = _index(hashes, Path(directory, "list.pdq"))
        print(f"{len(rows):,} hashes on the list", flush=True)
        copies = _copies(listed, ITEMS // less)
        print(_recall(copies), flush=True)
        photographs = [path for path in others if _photograph(path)]
        drawn = [path for path in others if not _photograph(path)]
        shown = _strangers(photographs, PARTS, PHOTOGRAPHS // less, index, rows)
        shown += _strangers(drawn, HALVES, STRANGERS // less, index, rows)
        print(_false_hits(shown), flush=True)
        took = _times(others, _index(padded(hashes, LIST), Path(directory, "long.pdq")))
    body = "\n\n".join(
        [
            f"{len(listed):,} pictures on the list, whole and in parts: {len(rows):,} hashes. "
            f"Limits were {'not ' if held_out else ''}chosen with these pictures.",
            "Copies, saved as JPEG 80: the share found as it is (31 bits), with edits undone, the "
            "same of photographs alone, the share that has the evidence but is not looked at as "
            "the search is inexact, and the share that may block as edited.",
            _recall(copies),
            "Strangers: pictures and parts of pictures; rows of the same package are left out. "
            "*Others*: without rows that show the same as the stranger (the correlation of "
            f"64 × 64 greys is {measure.SAME} or more).",
            _false_hits(shown),
            f"Time of one core, ms, medians of {TIMED} pictures, {LIST:,} hashes: those of the "
            "list, and random ones.",
            took,
        ]
    )
    words = "python -m benchmarks hash-edits" + (" --quick" if options.quick else "")
    if held_out:
        with service.running():
            report.write("hash-edits", "Edited copies of hash-only items", words, body)
    print(body)


def _photograph(path: Path) -> bool:
    return path.parent.name in corpus.PHOTOGRAPHS


def _list(listed: Sequence[Path]) -> tuple[Hashes, list[Place]]:
    rows, hashes = [], []
    for path in listed:
        rgb = measure.load(path)
        for place in places(path, PARTS):
            found = measure.hash_of(place.of(rgb))
            if found is not None:
                rows.append(place)
                hashes.append(found)
    return hash_index.pack(hashes), rows


def _index(hashes: Hashes, file: Path) -> HashIndex:
    hash_index.build(file, np.arange(len(hashes)), hashes, watermark=0)
    return HashIndex(file)


def _copies(listed: Sequence[Path], count: int) -> list[Copy]:
    found: list[Copy] = []
    # All photographs are included, because there are few.
    for path in sorted(listed, key=_photograph, reverse=True):
        found += measure.copies(path, _photograph(path))
        if len(found) >= count * len(EDITS):
            break
    return found


def _recall(copies: Sequence[Copy]) -> str:
    rows = []
    for edit in EDITS:
        some = [copy for copy in copies if copy.edit == edit]
        photographs = [copy for copy in some if copy.photograph]
        rows.append(
            [
                edit,
                _share(some, lambda copy: copy.plain),
                _share(some, lambda copy: copy.plain or copy.edited),
                _share(photographs, lambda copy: copy.plain or copy.edited),
                _share(some, lambda copy: copy.lost and not copy.plain),
                _share(some, lambda copy: copy.blocks),
            ]
        )
    count = len(copies) // len(EDITS)
    few = sum(copy.photograph for copy in copies) // len(EDITS)
    header = ["edit", "as it is", "with edits", "photographs", "not looked at", "may block"]
    return f"{count} items, {few} of them photographs.\n\n{report.table(header, rows)}"


def _share(some: Sequence[Copy], holds: Callable[[Copy], bool]) -> str:
    return f"{np.mean([holds(one) for one in some]):.3f}" if some else "-"


def _strangers(
    paths: Sequence[Path],
    cuts: Sequence[int],
    count: int,
    index: HashIndex,
    rows: Sequence[Place],
) -> list[Stranger]:
    found: list[Stranger] = []
    for place in (place for path in paths for place in places(path, cuts)):
        shown = measure.stranger(place, index, rows)
        if shown is not None:
            found.append(shown)
            if len(found) % 1000 == 0:
                print(f"{len(found):,} strangers", flush=True)
        if len(found) >= count:
            break
    return found


def _false_hits(shown: Sequence[Stranger]) -> str:
    photographs = [one for one in shown if _photograph(one.place.path)]
    rows = []
    for what, some in (("all", shown), ("photographs", photographs)):
        for those, plain, edited in (
            ("all rows", "plain", "edited"),
            ("others", "plain_others", "edited_others"),
        ):
            before = {one.place for one in some if getattr(one, plain)}
            after = before | {one.place for one in some if getattr(one, edited)}
            ratio = f"{len(after) / len(before):.2f}" if before else "-"
            rows.append([what, len(some), those, len(before), len(after), ratio])
    blocked = sum(one.blocked > 0 for one in shown)
    header = ["strangers", "count", "hits", "as it is", "with edits", "ratio"]
    return f"{report.table(header, rows)}\n\nStrangers that may be blocked as edited: {blocked}."


def _times(others: Sequence[Path], index: HashIndex) -> str:
    took = measure.times([measure.load(path) for path in others[:TIMED]], index)
    rows = [
        ["as it is: the search for eight hashes, exact", took.plain],
        ["edits: making the variants", took.variants],
        ["edits: the search", took.likely],
        ["edits: the evidence", took.evidence],
        ["edits, together", took.variants + took.likely + took.evidence],
    ]
    return report.table(["", "ms"], rows)


if __name__ == "__main__":
    main()
