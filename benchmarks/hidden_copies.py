"""Which hidden copies of items with pictures are found, by which method, and which strangers match.

Everything is the service's own code: items are added to a list that blocks, and each file is
screened as in a check. ``--quick`` takes fewer pictures.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import cv2
import numpy as np
import skimage.data

from benchmarks import report, service
from benchmarks.hash_edits import corpus
from benchmarks.hidden_edits import EDITS, Pixels
from benchmarks.recall.corpus import shrunk
from benchmarks.recall.transforms import encoded

PACKAGES: Final = (
    *("ukui-wallpapers", "lomiri-wallpapers-16.04", "sway-backgrounds", "propaganda-debian"),
    *("mate-backgrounds", "gnome-backgrounds", "tuxpaint-stamps-default"),
)
"""Photographs, paintings and cut-outs: 280 MB."""
ITEMS, STRANGERS = 64, 300
QUICK_ITEMS, QUICK_STRANGERS = 16, 40
LIKE: Final = 40
"""Maximum bits between the hashes of two source pictures that count as the same."""
QUALITY: Final = 90
AS_IT_IS: Final = "as it is"
CONTROLS: Final = ("negative", "every second strip of 16 px, lying", "chessboard, tiles of 32 px")
"""How strangers are sent, besides unedited. The decoy is another stranger."""
HEADER: Final = ("what is sent", "blocked", "held for review", "not found", "found by")


@dataclass(frozen=True)
class Job:
    """One file: its edit, its content, and the item's number on the list (None for a stranger)."""

    edit: str
    data: bytes
    item: int | None


@dataclass(frozen=True)
class Found:
    """``right``: methods that found the item within its thresholds; ``verdict``: of that item
    only."""

    edit: str
    stranger: bool
    verdict: str
    by: frozenset[str]
    wrong: int


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks hidden-copies", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    items, strangers = (QUICK_ITEMS, QUICK_STRANGERS) if options.quick else (ITEMS, STRANGERS)
    pictures = chosen(options.workers, items + strangers)
    # BLAS threads beside those of the processes make both slower; the service sets this too.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with service.running():
        ids = ban(pictures[:items])
        found = screened(
            [*_hidden(pictures, ids), *_strange(pictures, items)], workers=options.workers
        )
        body = _body(found, items, len(pictures) - items)
        print(body)
        words = "python -m benchmarks hidden-copies" + (" --quick" if options.quick else "")
        report.write("hidden-copies", "Hidden copies of items with pictures", words, body)


def chosen(workers: int, count: int) -> list[Pixels]:
    """Return different pictures, always in the same order."""
    paths = {path.stem: path for path in corpus.pictures(workers, PACKAGES)}
    wanted = [path for path in paths.values() if path.parent.name in PACKAGES]
    inside = Path(skimage.data.__file__).parent
    wheel = sorted(path for path in inside.iterdir() if path.suffix in (".png", ".jpg"))
    every = [_read(path) for path in [*wheel, *sorted(wanted, key=lambda path: path.stem)]]
    Random(11).shuffle(every)
    return _different(every)[:count]


def _read(path: Path) -> Pixels:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rgb = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
    return shrunk(rgb, corpus.LONGEST)


def _different(pictures: Iterable[Pixels]) -> list[Pixels]:
    from gallery.imaging.descriptors import pdq
    from moderation.lists.hash_index import pack

    kept: list[Pixels] = []
    hashes: list[bytes] = []
    for rgb in pictures:
        turned = pdq.dihedral_hashes(rgb)
        if turned is None or turned[1] < pdq.LOW_QUALITY:
            continue
        if hashes:
            apart = pack(hashes)[:, None] ^ pack(turned[0])[None]
            if np.bitwise_count(apart).sum(axis=-1).min() <= LIKE:
                continue
        kept.append(rgb)
        hashes.append(turned[0][0])
    return kept


def ban(pictures: Sequence[Pixels]) -> list[int]:
    """Add them to a new list that blocks, with default settings. Return the ids of the items."""
    from benchmarks.filter import make_list
    from moderation.access.permissions import Actor
    from moderation.lists import item_adding, item_reading
    from moderation.lists.models import BannedItem

    pk = make_list()
    by = Actor.machine("benchmark")
    ids = []
    for rgb in pictures:
        made = [item_reading.of_bytes(encoded(rgb, QUALITY), {})]
        item_adding.add(by=by, list_id=pk, made=made, reason="")
        ids.append(BannedItem.objects.latest("pk").pk)
    return ids


def _hidden(pictures: Sequence[Pixels], ids: Sequence[int]) -> Iterable[Job]:
    decoys = pictures[len(ids) :]
    for edit, make in {AS_IT_IS: lambda rgb, _: rgb, **EDITS}.items():
        for number, pk in enumerate(ids):
            sent = make(pictures[number], decoys[number % len(decoys)])
            yield Job(edit, encoded(sent, QUALITY), pk)


def _strange(pictures: Sequence[Pixels], items: int) -> Iterable[Job]:
    strangers = pictures[items:]
    for number, rgb in enumerate(strangers):
        yield Job(AS_IT_IS, encoded(rgb, QUALITY), None)
        for edit in CONTROLS:
            sent = EDITS[edit](rgb, strangers[number - 1])
            yield Job(edit, encoded(sent, QUALITY), None)


def screened(jobs: Sequence[Job], workers: int) -> list[Found]:
    """Screen each file as a check does, in separate processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_set_up) as pool:
        return list(pool.map(screen, jobs, chunksize=8))


def _set_up() -> None:
    import django

    django.setup()
    logging.disable(logging.WARNING)
    cv2.setNumThreads(1)


def screen(job: Job) -> Found:
    from moderation.lists import policies
    from moderation.screening import content, screen

    lists = policies.current()
    found = screen.screen(content.of_bytes(job.data), lists)
    right = [match for match in found.within if match.item_id == job.item]
    verdicts = {str(match.verdict.value) for match in right}
    by = frozenset(_kind(match.match_type, match.edit, match.rendering) for match in right)
    wrong = {match.item_id for match in found.within if match.item_id != job.item}
    verdict = "block" if "block" in verdicts else "review" if verdicts else ""
    return Found(job.edit, job.item is None, verdict, by, len(wrong))


def _kind(match_type: str, edit: str, rendering: str) -> str:
    if "strips" in rendering:
        return f"{match_type} of one alone"
    if rendering:
        return f"{match_type} ({rendering})"
    return f"{match_type} of edits" if match_type == "pdq" and edit else match_type


def _body(found: Sequence[Found], items: int, strangers: int) -> str:
    rows = []
    for edit in (AS_IT_IS, *EDITS):
        some = [one for one in found if one.edit == edit and not one.stranger]
        shares = Counter(one.verdict for one in some)
        by = Counter(kind for one in some for kind in one.by)
        words = ", ".join(f"{kind} {count / len(some):.2f}" for kind, count in sorted(by.items()))
        share = [f"{shares[verdict] / len(some):.2f}" for verdict in ("block", "review", "")]
        rows.append([edit, *share, words or "–"])
    return "\n\n".join(
        [
            f"{items} pictures (of Debian packages and of scikit-image, at most 512 pixels) are on "
            f"a list that blocks, with its default thresholds; {strangers} others are strangers. "
            f"Each file is a JPEG of quality {QUALITY}, screened as a check is. Counted is the "
            "verdict of the matches with the right item alone.",
            report.table(HEADER, rows),
            "Strangers, and hidden copies of them; a hit is a match that leads to review at least:",
            report.table(("what is sent", "files", "of them with a hit"), _wrong(found)),
        ]
    )


def _wrong(found: Sequence[Found]) -> list[list[object]]:
    rows: list[list[object]] = []
    for edit in (AS_IT_IS, *CONTROLS):
        some = [one for one in found if one.edit == edit and one.stranger]
        rows.append([f"a stranger, {edit}", len(some), sum(one.wrong > 0 for one in some)])
    some = [one for one in found if not one.stranger]
    rows.append(["hidden copies: another item", len(some), sum(one.wrong > 0 for one in some)])
    return rows
