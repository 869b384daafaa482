"""``python -m benchmarks profile``: the processor time of searching and adding, by stage.

It searches in the gallery of ``benchmarks.recall``, and makes it if it is not there. Processor time
says more than the clock on a machine that does other work as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks import photographs, report
from benchmarks.recall import asking, corpus, database, duplicates, transforms
from benchmarks.recall.split import FULL, QUICK, Split, split
from benchmarks.stages import DECODING, REST, Stage, Stages

IMAGES = 10_000
COPIES, STRANGERS, PHOTOGRAPHS = 40, 20, 10
WARM_UP = 4
ADD = "add"
SEARCHES = ("auto", "copy", "pdq", "imgsmlr")


def stages() -> list[Stage]:
    from gallery.imaging import decoding, descriptors, geometry, local_features, pixels, trimming
    from gallery.imaging.descriptors import cnn, copy
    from gallery.items import file_storage, inserting, publishing
    from gallery.search import copy_candidates, copy_search, nearest

    return [
        (DECODING, decoding, "decode"),
        ("reduce", pixels, "working_copy"),
        ("reduce", cnn, "square"),
        ("find margins", trimming, "trim"),
        ("imgsmlr", type(descriptors.get("imgsmlr")), "describe"),
        ("pdq", type(descriptors.get("pdq")), "describe"),
        ("learned vectors", cnn.Cnn, "embed"),
        ("learned vectors", copy, "is_flat"),
        ("key points", local_features, "extract"),
        ("candidates: SQL", copy_candidates, "find_candidates"),
        ("candidates: SQL", nearest, "nearest_images"),
        ("stored key points: SQL", copy_candidates, "stored_local_features"),
        ("verify", geometry, "verify_many"),
        ("read thumbnails", file_storage, "thumbnail_rgb"),
        ("register", copy_search.CandidateVerifier, "_register"),
        ("gates and publishing", publishing, "publish"),
        ("insert", inserting, "insert"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the gallery of the quick recall run")
    parser.add_argument("--workers", type=int, default=2, help="processes that make the gallery")
    options = parser.parse_args(arguments)
    found = duplicates.unique(corpus.sources(options.workers))
    parts = split(found, QUICK if options.quick else FULL)
    kind = "quick" if options.quick else "full"
    with database.running(f"{kind}-{database.gallery_digest(parts.gallery)}"):
        database.fill(parts.gallery, options.workers)
        if not options.quick:
            database.pad(IMAGES, options.workers)
        body = measured(parts)
        print(body)
        words = " --quick" if options.quick else ""
        report.write("profile", "Profile", f"python -m benchmarks profile{words}", body)


def measured(parts: Split) -> str:
    import cv2

    cv2.setNumThreads(1)
    asked = asking.copies(parts.test_originals, tuple(transforms.ROWS), parts.test_negatives)
    chosen = np.linspace(0, len(asked) - 1, COPIES).astype(int)
    files = {
        "copies": [asked[at].data() for at in chosen],
        "strangers": [one.data() for one in asking.negatives(parts.test_negatives[:STRANGERS])],
        "photographs": photographs.jpegs(PHOTOGRAPHS),
    }
    sections = [
        f"{database.images():,} images. {COPIES} edited copies of images of the gallery, of all "
        f"edits of the section on recall; {STRANGERS} pictures of which it has no copy; "
        f"{PHOTOGRAPHS} photographs of 2,048 to 4,032 pixels, of which it has none either. One "
        "request after another in one process; milliseconds of processor time, its decoders' and "
        "that of the database included, mean of the requests. A stage does not count the stages "
        "that it calls. Others use the machine as well, which makes each stage dearer."
    ]
    for name, data in files.items():
        columns = {kind: _searched(kind, data) for kind in SEARCHES}
        if name == "photographs":
            columns[ADD] = _added(data)
        sections.append(f"{name.capitalize()}:\n\n{_table(columns)}")
    return "\n\n".join(sections)


def _searched(match_type: str, files: Sequence[bytes]) -> tuple[Stages, list[float]]:
    from gallery.search.image_search import ImageQuery, search_images

    def search(data: bytes) -> None:
        search_images(ImageQuery(data=data), match_type=match_type, limit=10)

    return _measured(search, files)


def _added(files: Sequence[bytes]) -> tuple[Stages, list[float]]:
    """Add the files as a request that waits does, and take them out again."""
    from gallery.imaging import descriptors
    from gallery.items.adding import add_image
    from gallery.items.changing import delete_items
    from gallery.items.models import Image

    def add(data: bytes) -> None:
        added.append(add_image(by="benchmark", data=data, inline=descriptors.available_names()).pk)

    added: list[int] = []
    # Bytes behind a JPEG make another file of it, as each is added once.
    found = _measured(add, [data + b"\0" for data in files], warm_up=files[:WARM_UP])
    delete_items(items=Image.objects.filter(pk__in=added), by="benchmark")
    return found


def _measured(
    work: Callable[[bytes], None], files: Sequence[bytes], warm_up: Sequence[bytes] = ()
) -> tuple[Stages, list[float]]:
    for data in warm_up or files[:WARM_UP]:
        work(data)
    counted, taken = Stages(), []
    with counted.counted(stages()):
        for data in files:
            started = time.perf_counter()
            counted.request(partial(work, data))
            taken.append((time.perf_counter() - started) * 1000)
    return counted, taken


def _table(columns: Mapping[str, tuple[Stages, list[float]]]) -> str:
    spent = {name: counted.milliseconds() for name, (counted, _) in columns.items()}
    order = dict.fromkeys(stage for stage, _, _ in stages())
    rows: list[list[object]] = [
        [stage, *(_cell(spent[name].get(stage)) for name in columns)] for stage in (*order, REST)
    ]
    totals = [counted.requests for counted, _ in columns.values()]
    rows += [
        ["**processor time**, mean", *(1000 * float(np.mean(times)) for times in totals)],
        ["p50", *(1000 * float(np.median(times)) for times in totals)],
        ["p95", *(1000 * float(np.percentile(times, 95)) for times in totals)],
        ["on the clock, p50", *(float(np.median(taken)) for _, taken in columns.values())],
    ]
    return report.table(["stage", *columns], rows)


def _cell(value: float | None) -> object:
    return "" if value is None else value
