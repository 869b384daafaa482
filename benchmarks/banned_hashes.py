"""Banned PDQ hashes at scale: looking up pictures in all eight turns in a list of ten million.

It runs a PostgreSQL of its own and several processes that look up at once, each as the gate of an
upload does. ``--quick`` takes fewer hashes, and generated pictures.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import pictures, report
from gallery.imaging.descriptors.pdq import BITS, LOW_QUALITY, dihedral_hashes
from imgsmlr_site.postgres.server import EmbeddedPostgres

COUNTS: Final = (1_000_000, 10_000_000)
QUICK_COUNTS: Final = (20_000, 100_000)
PROCESSES: Final = 4
PICTURES, QUICK_PICTURES = 3000, 150
LOOKUPS, QUICK_LOOKUPS = 200, 20
NEAR_EQUAL: Final = 100
"""A part of the list, one in this many, is near to one picture."""
EACH_ITEM: Final = 20
"""Hashes of an item, but of those that are near to one picture."""
FARTHEST: Final = 40
CLOSEST: Final = 8

Hashes = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks banned-hashes", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="processes that unpack pictures")
    options = parser.parse_args(arguments)
    turned = _turned_hashes(options.workers, quick=options.quick)
    print(f"{len(turned):,} pictures", flush=True)
    with tempfile.TemporaryDirectory(prefix="imgsmlr-bench-") as directory:
        # If we are root, PostgreSQL runs as another user, who must be able to enter.
        Path(directory).chmod(0o755)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
            "DATA_DIR": str(Path(directory, "data")),
            "DATABASE_URL": "",
        }
        with EmbeddedPostgres(Path(directory, "data")):
            body = _measured(turned, quick=options.quick)
            print(body)
            command = " ".join(
                ["python -m benchmarks banned-hashes", *(["--quick"] if options.quick else [])]
            )
            report.write("banned-hashes", "Ten million banned hashes", command, body)


def _turned_hashes(workers: int, *, quick: bool) -> Hashes:
    """Return the hashes of good pictures in all eight turns, shape (n, 8, 32)."""
    if quick:
        files = (np.frombuffer(data, np.uint8) for data in pictures.jpegs(QUICK_PICTURES))
        images = (cv2.imdecode(data, cv2.IMREAD_COLOR) for data in files)
    else:
        from benchmarks.recall import corpus

        sources = sorted(corpus.sources(workers), key=lambda source: source.key)[:PICTURES]
        images = (cv2.imread(str(corpus.working_copy(source))) for source in sources)
    described = (dihedral_hashes(np.ascontiguousarray(image[..., ::-1])) for image in images)
    good = [found[0] for found in described if found and found[1] >= LOW_QUALITY]
    return np.array([[np.frombuffer(one, np.uint8) for one in hashes] for hashes in good])


def _measured(turned: Hashes, *, quick: bool) -> str:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from moderation.access.permissions import Actor
    from moderation.lists import list_writes

    by = Actor.machine("benchmark")
    list_id = list_writes.create_list(by=by, name="benchmark", action="block").pk
    looked, files = [], []
    stored = 0
    for count in QUICK_COUNTS if quick else COUNTS:
        started = time.perf_counter()
        more = count - stored
        _store(list_id, _list_hashes(turned, more), near=more // NEAR_EQUAL)
        stored = count
        print(f"{count:,} hashes stored in {time.perf_counter() - started:.0f} s", flush=True)
        files += _file(count)
        rows, shared = _in_processes(turned, QUICK_LOOKUPS if quick else LOOKUPS)
        looked += [[f"{count:,}", *row] for row in rows]
        files += [[f"{count:,}", *row] for row in shared]
        files += _adding(count, list_id)
        print(*files, sep="\n", flush=True)
    return "\n\n".join(
        [
            f"{len(turned):,} real pictures. Half of the list is random, half are copies of these "
            f"pictures, up to {FARTHEST} bits away: few pictures have most of them, and one in "
            f"{NEAR_EQUAL} of all is within {CLOSEST} bits of one picture, an item each. "
            "One process looks up; *CPU ms* is its own, without PostgreSQL. *search*: in the "
            "index and in newer rows; "
            "*match*: up to the list's near-miss distance of 52, and what is matched by the "
            "database, as for the gate of an upload.",
            report.table(
                ["hashes", "look-up of", "what", "hits", "p50 ms", "p95 ms", "CPU ms"], looked
            ),
            report.table(["hashes", "the index file", ""], files),
        ]
    )


def _list_hashes(turned: Hashes, count: int) -> Hashes:
    """Return hashes of which the first are near to the first picture."""
    random = np.random.default_rng(count)
    near, half = count // NEAR_EQUAL, count // 2
    # Few pictures have most of the copies.
    chosen = np.minimum(random.zipf(1.3, half - near), len(turned) - 1)
    copies = _shaken(random, turned[chosen, 0], FARTHEST)
    return np.concatenate(
        [
            _shaken(random, np.repeat(turned[:1, 0], near, axis=0), CLOSEST),
            # An item has a hash once.
            np.unique(copies.view("V32")).view(np.uint8).reshape(-1, BITS // 8),
            random.integers(0, 256, (count - half, BITS // 8), dtype=np.uint8),
        ]
    )


def _shaken(random: np.random.Generator, hashes: Hashes, most: int) -> Hashes:
    for start in range(0, len(hashes), 10_000):
        part = hashes[start : start + 10_000]
        bits = random.integers(most, size=(len(part), 1))
        # Positions may repeat, so some rows have fewer bits changed.
        places = random.integers(BITS, size=(len(part), most))
        changes = np.zeros((len(part), BITS), np.uint8)
        rows, numbers = np.nonzero(np.arange(most) < bits)
        changes[rows, places[rows, numbers]] = 1
        part ^= np.packbits(changes, axis=1)
    return hashes


def _store(list_id: int, hashes: Hashes, near: int = 0) -> None:
    """``near``: the first of the hashes, with an item each."""
    from django.db import connection

    from moderation.lists.models import BannedHash

    items = near + (len(hashes) - near) // EACH_ITEM + 1
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO moderation_banneditem (list_id, media, source, source_id, state, "
            "retired_because, opinion, feedback, category, severity, owner, tags, note, picture, "
            "added_by, created_at) SELECT %s, 'image', '', '', 'active', '', 'none', 'none', '', "
            "'', '', '{}', '', '', 'benchmark', now() FROM generate_series(1, %s) "
            "RETURNING id",
            [list_id, items],
        )
        ids = [pk for (pk,) in cursor.fetchall()]
    with _indexes_made_later(BannedHash), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for start in range(0, len(hashes), 100_000):
            lines = io.StringIO()
            for number, hash in enumerate(hashes[start : start + 100_000], start):
                at = number if number < near else near + (number - near) // EACH_ITEM
                lines.write(f"{ids[at]}\tpdq\t{hash.tobytes().hex()}\t90\n")
            lines.seek(0)
            cursor.copy_expert(
                "COPY moderation_bannedhash (item_id, kind, value, quality) FROM STDIN", lines
            )
        cursor.execute("SET session_replication_role = origin")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE moderation_bannedhash, moderation_banneditem")


@contextmanager
def _indexes_made_later(model: Any) -> Iterator[None]:
    from django.db import connection

    with connection.schema_editor() as editor:
        for one in model._meta.constraints:
            editor.remove_constraint(model, one)
        for one in model._meta.indexes:
            editor.remove_index(model, one)
    yield
    with connection.schema_editor() as editor:
        for one in model._meta.constraints:
            editor.add_constraint(model, one)
        for one in model._meta.indexes:
            editor.add_index(model, one)


def _file(count: int) -> list[list[object]]:
    """Write the file in a process of its own, as a worker does."""
    from moderation.lists import banned_hashes

    with _pool(1) as pool:
        seconds, cpu, memory = pool.apply(_refresh, [True])
    size = banned_hashes.rows.path().stat().st_size / 1e6
    return [
        [f"{count:,}", "size, MB", size],
        [f"{count:,}", "written from all rows, s", seconds],
        [f"{count:,}", "the same, CPU s of the process", cpu],
        [f"{count:,}", "the same, memory of the process, MB", memory],
    ]


def _refresh(always: bool) -> tuple[float, float, float]:
    from moderation.lists import banned_hashes

    before, cpu = time.perf_counter(), time.process_time()
    banned_hashes.rows.refresh(always=always)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.perf_counter() - before, time.process_time() - cpu, memory


def _in_processes(turned: Hashes, lookups: int) -> tuple[list[list[object]], list[list[object]]]:
    random = np.random.default_rng(1)
    copies = turned[random.integers(1, len(turned), lookups)]
    strangers = random.integers(0, 256, copies.shape[::2], dtype=np.uint8)
    several = range(PROCESSES)
    with _pool(PROCESSES) as pool:
        barrier = multiprocessing.get_context("spawn").Manager().Barrier(PROCESSES)
        before = pool.starmap(_memory, [(barrier,) for _ in several], 1)
        opened = pool.starmap(_first, [(barrier, turned[1]) for _ in several], 1)
        after = pool.starmap(_memory, [(barrier,) for _ in several], 1)
    rows = []
    with _pool(1) as pool:
        pool.apply(_first, [None, turned[1]])
        for name, asked in (
            ("pictures with copies on the list", copies),
            ("one hash, of no picture on it", strangers[:, np.newaxis]),
            ("the picture of the many near-equal ones", np.repeat(turned[:1], lookups // 8, 0)),
        ):
            for what in ("search 31", "search 52", "match"):
                walls, cpus, hits = pool.apply(_look_up, [asked, what])
                p50, p95 = np.quantile(walls, [0.5, 0.95]) * 1000
                cpu = float(cpus.mean()) * 1000
                rows.append([name, what, float(hits.mean()), float(p50), float(p95), cpu])
                print(rows[-1], flush=True)
    shared = [
        ["opened and verified by a process at its first look-up, ms", max(opened) * 1000],
        [
            f"memory of {PROCESSES} processes together (PSS), MB, more by it",
            sum(after) - sum(before),
        ],
    ]
    return rows, shared


def _adding(count: int, list_id: int) -> list[list[object]]:
    from moderation.access.permissions import Actor
    from moderation.lists import banned_hashes, item_adding

    by = Actor.machine("benchmark")
    random = np.random.default_rng(count + 1)
    with _pool(1) as pool:
        pool.apply(_found, [random.bytes(BITS // 8)])
        added, found = [], []
        for _ in range(10):
            value = random.bytes(BITS // 8)
            started = time.perf_counter()
            item_adding.add_hashes(by=by, list_id=list_id, hashes=[("pdq", value.hex(), 90)])
            added.append(time.perf_counter() - started)
            seen, seconds = pool.apply(_found, [value])
            if not seen:
                raise RuntimeError("An added hash was not found by the next look-up.")
            found.append(seconds)
    newer = count // 100 + banned_hashes.rows.most_newer
    _store(list_id, random.integers(0, 256, (newer, BITS // 8), dtype=np.uint8))
    with _pool(1) as pool:
        found_newer = [pool.apply(_found, [value])[1] for _ in range(10)]
    with _pool(1) as pool:
        renewed, cpu, memory = pool.apply(_refresh, [False])
        nothing, *_ = pool.apply(_refresh, [False])
    return [
        [f"{count:,}", "one hash is added, ms", float(np.median(added)) * 1000],
        [
            f"{count:,}",
            "the next look-up, in another process, finds it, ms",
            float(np.median(found)) * 1000,
        ],
        [
            f"{count:,}",
            f"a look-up while {newer:,} rows are newer than the file, ms",
            float(np.median(found_newer)) * 1000,
        ],
        [f"{count:,}", f"renewed by {newer:,} newer rows, s", renewed],
        [f"{count:,}", "the same, CPU s of the process", cpu],
        [f"{count:,}", "the same, memory of the process, MB", memory],
        [f"{count:,}", "looked whether to renew it, nothing to do, s", nothing],
    ]


def _pool(processes: int) -> Any:
    return multiprocessing.get_context("spawn").Pool(processes, _set_up)


def _set_up() -> None:
    import django

    django.setup()


def _memory(barrier: Any) -> float:
    """Return the PSS of this process in MB, while none of them does anything."""
    barrier.wait()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    barrier.wait()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _first(barrier: Any, hashes: Hashes) -> float:
    from moderation.lists import banned_hashes

    before = time.perf_counter()
    banned_hashes.near([hashes[0].tobytes()], 0)
    took = time.perf_counter() - before
    if barrier is not None:
        barrier.wait()
    return took


def _look_up(asked: Hashes, what: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    look = _ways()[what]
    found = []
    for hashes in asked:
        queries = [one.tobytes() for one in hashes]
        before, cpu = time.perf_counter(), time.process_time()
        hits = look(queries)
        found.append((time.perf_counter() - before, time.process_time() - cpu, hits))
    walls, cpus, hits = zip(*found, strict=True)
    return np.array(walls), np.array(cpus), np.array(hits)


def _ways() -> dict[str, Callable[[list[bytes]], int]]:
    from moderation.lists import banned_hashes, policies
    from moderation.screening import pdq
    from moderation.screening.types import NO_PIXELS, ContentFrame
    from moderation.screening.verdict_rules import RECORDED

    def match(queries: list[bytes]) -> int:
        frame = ContentFrame(NO_PIXELS, NO_PIXELS, queries, 90)
        return len(pdq.matches([frame], policies.current(), RECORDED))

    return {
        "search 31": lambda queries: len(banned_hashes.near(queries, 31)),
        "search 52": lambda queries: len(banned_hashes.near(queries, 52)),
        "match": match,
    }


def _found(value: bytes) -> tuple[bool, float]:
    before = time.perf_counter()
    found = _ways()["match"]([value])
    return bool(found), time.perf_counter() - before


if __name__ == "__main__":
    main()
