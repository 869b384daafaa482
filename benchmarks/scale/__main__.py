"""``python -m benchmarks scale``: search ten thousand, a hundred thousand and a million images.

The database lies in ``BENCH_DIR`` and is deleted at the end: a million images take 60 GB for a
while. The pictures are those of ``python -m benchmarks recall``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks import report
from benchmarks.cache import directory
from benchmarks.recall import corpus, database
from benchmarks.scale import loading, measuring, real
from benchmarks.scale.measuring import MATCH_TYPES, Query, Recalled
from benchmarks.scale.real import Pictures
from benchmarks.scale.truth import Truth
from benchmarks.scale.world import World

COUNTS, QUICK = (10_000, 100_000, 1_000_000), (10_000, 100_000)
QUERIES, QUICK_QUERIES = 200, 60
STRANGERS = 150
NAME = "scale-1"
KINDS = {"haar": "imgsmlr", "pdq": "pdq", "cnn": "copy", "clip": "clip"}
"""Column → match type."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no million, fewer searches")
    parser.add_argument("--counts", type=int, nargs="+", help="numbers of images")
    parser.add_argument(
        "--rewrite",
        type=int,
        nargs="*",
        default=[100_000],
        help="numbers of images of which a tenth is deleted and rewritten",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that describe")
    options = parser.parse_args(arguments)
    counts = options.counts or (QUICK if options.quick else COUNTS)
    words = " ".join(["python -m benchmarks scale", *(["--quick"] if options.quick else [])])
    pictures = real.pictures(corpus.sources(options.workers), options.workers)
    gallery, strangers = split(pictures)
    with running():
        loading.register()
        store_thumbnails(gallery)
        found = measuring.queries(
            gallery,
            strangers.sources,
            World(gallery),
            QUICK_QUERIES if options.quick else QUERIES,
        )
        sections = [introduction(gallery, found)]
        for count in counts:
            sections.append(measured(count, gallery, found, rewrite=count in options.rewrite))
            report.write("scale", "Scale", words, "\n\n".join(sections))


@contextmanager
def running() -> Iterator[None]:
    try:
        with database.running(NAME):
            yield
    finally:
        database.rmtree(directory() / "galleries" / NAME)


def split(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """Return the pictures of the gallery, and those that are only asked about."""
    step = len(pictures) // STRANGERS
    strangers = range(0, step * STRANGERS, step)
    others = sorted(set(range(len(pictures))) - set(strangers))
    return pictures.chosen(others), pictures.chosen(list(strangers))


def store_thumbnails(pictures: Pictures) -> None:
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage

    for at, thumbnail in enumerate(pictures.thumbnails):
        default_storage.save(f"scale/{at}.jpg", ContentFile(thumbnail))


def introduction(gallery: Pictures, found: Sequence[Query]) -> str:
    from gallery.items.vector_indexes import server_bytes
    from gallery.shared import readable

    limits = {name: readable.size(server_bytes(name)) for name in LIMITS}
    return (
        f"{len(gallery):,} real pictures, those of the section on recall, then mixtures of two of "
        "them: signatures, patterns, frequencies of PDQ (the bits are their signs) and learned "
        "vectors are mixed by one share, with noise, so that some are near-duplicates. There are "
        "no weights of CLIP here: vectors that are as close to each other as CLIP's and "
        "made of the learned ones stand in its place. Key points and thumbnails are those of the "
        f"picture that a mixture shows most of. {len(found)} searches, limit 10, in one process, "
        "every second for a picture that is not in the gallery, the others for an edited copy of "
        "one that is. Recall compares distances with those of a scan by numpy; that of `auto` is "
        "the share of what each of its vectors should propose that is among its candidates. "
        "Latencies are those of the second half of the searches; *CPU*: milliseconds of "
        "processors, PostgreSQL's included. `auto` is all that it does beyond "
        "describing the query; `auto: SQL` its first statement alone. "
        f"{limits['shared_buffers']} of buffers, {limits['maintenance_work_mem']} to build with."
    )


TIMES = ("p50 ms", "p95 ms", "CPU p50", "CPU p95")
LIMITS = ("shared_buffers", "maintenance_work_mem")


def measured(count: int, gallery: Pictures, found: Sequence[Query], *, rewrite: bool) -> str:
    started = time.perf_counter()
    world, truth = World(gallery), Truth(measuring.asked(found))
    loaded, indexes = loading.load(world, count, truth)
    print(f"{count:,} images loaded in {loaded:.0f} s", flush=True)
    built, rows = dict[str, float](), dict[str, Recalled]()
    for index in sorted(indexes, key=lambda index: [*KINDS].index(column_of(index.name))):
        built[index.name] = loading.build(index, count)
        kind = KINDS[column_of(index.name)]
        rows[kind] = measuring.measure_nearest(kind, found, truth)
        print(f"{index.name}: built in {built[index.name]:.0f} s. {rows[kind]}", flush=True)
    of_auto, first = measuring.measure_auto(found, truth)
    rows = {kind: rows[kind] for kind in MATCH_TYPES} | of_auto
    parts = [
        f"### {count:,} images\n\nLoaded by COPY in {loaded:.0f} s, indexes built in "
        f"{sum(built.values()):.0f} s. `auto` finds {first:.0%} of the copies first.",
        table(rows),
        report.table(
            ["table or index", "MB", "bytes per image", "built in s"], sizes(count, built)
        ),
    ]
    if rewrite:
        parts += rewritten(count, world, found, truth)
    body = "\n\n".join(parts)
    print(f"{body}\n\n{count:,} images took {time.perf_counter() - started:.0f} s", flush=True)
    return body


def column_of(index: str) -> str:
    return next(column for column in KINDS if f"_{column}_" in index)


def rewritten(count: int, world: World, found: Sequence[Query], truth: Truth) -> list[str]:
    from gallery.items import vector_indexes

    deleting, writing = loading.rewrite(world, count, truth)
    after = measuring.measure(found, truth)
    started = time.perf_counter()
    vector_indexes.maintain(lambda index: partial(_say, index.name))
    maintaining = time.perf_counter() - started
    maintained = measuring.measure(found, truth)
    return [
        f"A tenth of the images was deleted ({deleting:.0f} s), and as many others added to the "
        f"full indexes ({writing:.0f} s). `manage.py maintain_indexes` took {maintaining:.0f} s.",
        report.table(
            ["match type", "recall@10 then", *TIMES, "maintained", *TIMES],
            [[kind, *_cells(after[kind]), *_cells(maintained[kind])] for kind in after],
        ),
    ]


def _say(name: str, done: int, total: int) -> None:
    if done == total:
        print(f"{name}: built anew", flush=True)


def _cells(row: Recalled) -> list[object]:
    return [f"{row.recall:.4f}", row.p50, row.p95, row.cpu_p50, row.cpu_p95]


def table(rows: dict[str, Recalled]) -> str:
    header = ["match type", "recall@10", *TIMES, "exact p50 ms"]
    return report.table(
        header,
        [
            [kind, *_cells(row), row.exact_p50 if kind in MATCH_TYPES else ""]
            for kind, row in rows.items()
        ],
    )


def sizes(count: int, built: dict[str, float]) -> list[list[object]]:
    """Return the tables of images, with their out-of-line values, and their indexes."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, CASE c.relkind WHEN 'i' THEN pg_relation_size(c.oid) "
            "ELSE pg_table_size(c.oid) END FROM pg_class c LEFT JOIN pg_index x "
            "ON x.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = x.indrelid "
            "WHERE c.relname = ANY(%(t)s) OR t.relname = ANY(%(t)s) ORDER BY 2 DESC",
            {"t": list(database.TABLES)},
        )
        found = cursor.fetchall()
    large = [(name, size) for name, size in found if size >= 100 * count]
    others = sum(size for name, size in found if size < 100 * count)
    every = [*large, ("the others", others), ("all", sum(size for _, size in found))]
    return [
        [name, size / 2**20, f"{size / count:,.0f}", built.get(name, "")] for name, size in every
    ]


if __name__ == "__main__":
    main()
