"""The cost of searching and indexing on this machine, measured again without asking the questions.

The query files are in the cache, so that the films are not needed.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cache import directory
from benchmarks.videos import queries
from benchmarks.videos.corpus import CUT, Corpus
from benchmarks.videos.queries import Question

WARM_UP = 5
STILL = "screenshot"
COUNTS = {STILL: 200, queries.TEN_SECONDS: 40}
"""Number of questions whose latency is measured."""
FILMS = 6
"""Number of films that are indexed."""
LISTENING = 2.0
"""Seconds during which the load of other programs is measured."""


@dataclass(frozen=True)
class Costs:
    """``latencies``: kind of question → p50 and p95 in ms, one at a time; ``frames``: size of the
    index then. ``fold``: seconds of film indexed per second, for a film of ``length``. ``busy``:
    share of the processors that other programs used, 0..1, the higher of before and after."""

    latencies: Mapping[str, tuple[float, float]]
    frames: int
    length: float
    fold: float
    busy: float


def save(rows: Mapping[str, Sequence[Question]], stored: Corpus, kind: str) -> list[Path]:
    """Write the query files, and return the films to index."""
    films = stored.of("test")
    ten = queries.of_films(films, queries.TEN_SECONDS, COUNTS[queries.TEN_SECONDS])
    for row, asked in {STILL: rows[STILL], queries.TEN_SECONDS: ten}.items():
        inside = _files(kind, row)
        inside.mkdir(parents=True, exist_ok=True)
        steps = np.linspace(0, len(asked) - 1, min(COUNTS[row], len(asked))).astype(int)
        for number, step in enumerate(steps if len(asked) else []):
            (inside / f"{number:03}").write_bytes(queries.data(asked[step], stored))
    return [stored.path(film.key) for film in films if film.package == CUT][:FILMS]


def measure(kind: str, films: Sequence[Path]) -> Costs:
    """Search for the saved files and index these films. Nothing else should run."""
    from benchmarks.videos import gallery

    before = others()
    latencies = {
        row: latency([path.read_bytes() for path in sorted(_files(kind, row).iterdir())])
        for row in COUNTS
        if any(_files(kind, row).iterdir())
    }
    length, taken = 0.0, 0.0
    for film in films:
        seconds, spent = index(film)
        length, taken = length + seconds, taken + spent
    return Costs(latencies, gallery.frames(), length, length / taken, max(before, others()))


def latency(files: Sequence[bytes]) -> tuple[float, float]:
    """Return milliseconds of a search in the service, p50 and p95: one at a time."""
    from videos.match import video_search

    for file in files[:WARM_UP]:
        video_search.search_videos(data=file)
    taken = []
    for file in files:
        started = time.perf_counter()
        video_search.search_videos(data=file)
        taken.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(taken, [50, 95])
    return float(p50), float(p95)


def index(film: Path) -> tuple[float, float]:
    """Import a film with the product's code and delete it. Return its length and the seconds."""
    from gallery.items.changing import delete_items
    from gallery.items.import_sources import Source
    from videos.items.importing import import_videos
    from videos.models import Video

    with tempfile.NamedTemporaryFile(suffix=film.suffix) as copy:
        # The same film is stored already, so append an empty atom to make it a different file.
        copy.write(film.read_bytes() + struct.pack(">I4s8s", 16, b"free", os.urandom(8)))
        copy.flush()
        source = Source(film.name, Path(copy.name), {"data_id": f"again {film.name}"})
        started = time.perf_counter()
        (outcome,) = import_videos(sources=[source], by="benchmark")
        taken = time.perf_counter() - started
    if outcome.kind != "added":
        raise RuntimeError(str(outcome))
    rows = Video.objects.filter(data_id=f"again {film.name}")
    seconds = sum(row.duration_ms or 0 for row in rows) / 1000
    delete_items(items=rows, by="benchmark")
    return seconds, taken


def others() -> float:
    """Return the share of the processors, 0..1, that is used while this process waits."""
    before = _processors()
    time.sleep(LISTENING)
    whole, idle = (b - a for a, b in zip(before, _processors(), strict=True))
    return 1.0 - idle / max(1, whole)


def _processors() -> tuple[int, int]:
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def _files(kind: str, row: str) -> Path:
    return directory() / "asked" / kind / row
