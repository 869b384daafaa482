"""Exact search among banned hashes: latency by threshold, memory, building and opening.

``python -m benchmarks.hash_index [--quick]`` prints the tables. It needs no database.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from moderation.lists.hash_index import BITS, HashIndex, build

COUNT = 1_000_000
VARIANTS = 8
SEARCHES = 100
THRESHOLDS = (0, 31, 47, 52, 64, 90)
PER_CENTRE = 100
SHAKEN = 60

Hashes = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hash_index", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer hashes and searches")
    print(run(quick=parser.parse_args().quick))


def run(*, quick: bool) -> str:
    count, searches = (COUNT // 10, 50) if quick else (COUNT, SEARCHES)
    random = np.random.default_rng(1)
    data = {
        "random": random.integers(0, 256, (count, BITS // 8), dtype=np.uint8),
        "near-duplicates": _near_duplicates(random, count),
    }
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as directory:
        for kind, hashes in data.items():
            path = Path(directory, f"{kind}.idx")
            build(path, np.arange(count), hashes, watermark=0)
            index = HashIndex(path)
            asked = [_variants(random, hashes) for _ in range(searches)]
            rows += [[kind, *_searching(index, asked, threshold)] for threshold in THRESHOLDS]
        whole = _whole(path, data["near-duplicates"], asked)
    return "\n\n".join(
        [
            f"{count:,} hashes of {BITS} bits, {searches} searches a row, each for {VARIANTS} "
            "hashes as the rotations and mirrors of a picture are; one of them is a stored hash "
            f"with 20 bits changed. Near-duplicates: {PER_CENTRE} around each centre, up to "
            f"{SHAKEN} bits away. One thread.",
            report.table(["hashes", "threshold", "hits", "p50 ms", "p95 ms", "CPU ms"], rows),
            report.table(["the whole index", ""], whole),
        ]
    )


def _near_duplicates(random: np.random.Generator, count: int) -> Hashes:
    centres = random.integers(0, 256, (count // PER_CENTRE, BITS // 8), dtype=np.uint8)
    hashes = np.repeat(centres, PER_CENTRE, axis=0)
    for start in range(0, count, 10_000):
        part = hashes[start : start + 10_000]
        share = random.integers(0, SHAKEN, (len(part), 1)) / BITS
        part ^= np.packbits(random.random((len(part), BITS), np.float32) < share, axis=1)
    return hashes


def _variants(random: np.random.Generator, hashes: Hashes) -> list[bytes]:
    changes = np.zeros(BITS, np.uint8)
    changes[random.permutation(BITS)[:20]] = 1
    near = hashes[random.integers(len(hashes))] ^ np.packbits(changes)
    others = [random.bytes(BITS // 8) for _ in range(VARIANTS - 1)]
    return [near.tobytes(), *others]


def _searching(index: HashIndex, asked: list[list[bytes]], threshold: int) -> list[object]:
    hits, walls = 0, []
    started = time.process_time()
    for queries in asked:
        before = time.perf_counter()
        hits += len(index.search(queries, threshold))
        walls.append((time.perf_counter() - before) * 1000)
    cpu = (time.process_time() - started) * 1000 / len(asked)
    p50, p95 = np.quantile(walls, [0.5, 0.95])
    return [threshold, hits / len(asked), float(p50), float(p95), cpu]


def _whole(path: Path, hashes: Hashes, asked: list[list[bytes]]) -> list[list[object]]:
    index = HashIndex(path)

    def again() -> None:
        build(path, np.arange(len(hashes)), hashes, watermark=0)

    with ThreadPoolExecutor(2) as pool:
        before = time.perf_counter()
        list(pool.map(lambda queries: index.search(queries, 31), asked))
        rate = len(asked) / (time.perf_counter() - before)
    return [
        ["searches per second, 2 at a time, threshold 31", rate],
        ["shared by all processes, MB", path.stat().st_size / 1e6],
        ["a process needs for a search, MB", _peak(lambda: index.search(asked[0], 31))],
        ["build, s", _seconds(again)],
        [
            "build needs beside its input, MB",
            _peak(again),
        ],
        ["open and verify, ms", _seconds(lambda: HashIndex(path)) * 1000],
        ["notice that it was replaced, µs", _seconds(lambda: index.replaced()) * 1e6],
    ]


def _seconds(action: Callable[[], object]) -> float:
    times = []
    for _ in range(9):
        before = time.perf_counter()
        action()
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def _peak(action: Callable[[], object]) -> float:
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


if __name__ == "__main__":
    main()
