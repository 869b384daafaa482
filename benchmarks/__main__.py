"""``python -m benchmarks [PART] [--quick]``: measure, print, and write docs/benchmarks.md.

``scale``, ``recall``, ``profile``, ``videos``, ``hidden-copies`` and ``hash-edits`` run only if
they are named, because they download Debian packages: 6 GB for the last, 1 GB for the others.
``check-cost`` needs a checkout of an earlier version, ``gates`` a service with other settings.
``hosts`` has a database of its own, and runs at the end, in another process.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import (
    console,
    fileserver,
    filter,
    idle,
    imports,
    legacy,
    pictures,
    report,
    service,
    speed,
)
from benchmarks.client import Measured

CLIENTS = (1, 4)
PARTS = (
    *("idle", "speed", "legacy", "filter", "bypasses", "imports", "console"),
    *("scale", "recall", "profile", "videos"),
    *("gates", "check-cost", "hidden-copies", "hash-edits", "hosts", "banned-hashes"),
)


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="less data, one run each")
    parser.add_argument("--workers", type=int, default=2, help="processes (of parts that describe)")
    options, others = parser.parse_known_args()
    if options.part in ("scale", "recall", "profile", "videos", "hash-edits"):
        package = options.part.replace("-", "_")
        module = "profiling" if options.part == "profile" else f"{package}.__main__"
        run = importlib.import_module(f"benchmarks.{module}").main
        quick = ["--quick"] if options.quick else []
        run([*quick, f"--workers={options.workers}", *others])
        return
    if options.part in ("gates", "check-cost", "hidden-copies", "hosts", "banned-hashes"):
        run = importlib.import_module(f"benchmarks.{options.part.replace('-', '_')}").main
        run([*(["--quick"] if options.quick else []), *others])
        return
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    # One service for all parts: Django in this process cannot switch to another database.
    with service.running() as started:
        parts = (
            ("idle", idle.run),
            ("speed", run_speed),
            ("legacy", legacy.run),
            ("filter", filter.run),
            ("bypasses", run_bypasses),
            ("imports", imports.run),
            ("console", console.run),
        )
        for name, run in parts:
            if options.part in (None, name):
                words = ["python -m benchmarks", name, *(["--quick"] if options.quick else [])]
                run(started, options.quick, " ".join(words))
    if options.part is None:
        quick = ["--quick"] if options.quick else []
        subprocess.run([sys.executable, "-m", "benchmarks", "hosts", *quick], check=True)


def run_bypasses(started: service.Service, quick: bool, command: str) -> None:
    """The test suite makes the files. Its modules are imported late, because they need Django."""
    from benchmarks import bypasses

    bypasses.run(started, quick, command)


def run_speed(started: service.Service, quick: bool, command: str) -> None:
    """Measure adding and searching, over HTTP and in bulk, and the lower bound of their cost."""
    count, times = (250, 1) if quick else (pictures.COUNT, 3)
    files = pictures.jpegs(count)
    with fileserver.serving(files) as urls:
        memory = service.memory(started.pid)
        target = speed.Target(started.host, started.port, speed.issue_key(), started.pid)
        speed.warm_up(target, urls)
        rows = []
        for clients in CLIENTS:
            for api in ("legacy", "v1"):
                measured = speed.best(times, speed.add, target, api, urls, clients)
                rows.append(_row(f"add, {api}", clients, measured))
        queued = max(speed.add_queued(target, urls, 4) for _ in range(times))
        for clients in CLIENTS:
            for api, kind in (("legacy", "imgsmlr"), ("v1", "imgsmlr"), ("v1", "pdq")):
                measured = speed.best(times, speed.search, target, api, kind, urls, clients)
                rows.append(_row(f"search {kind}, {api}", clients, measured))
        bulk = _bulk(files, urls, times)
        floor = speed.floor(files)
        body = _speed_report(count, times, rows, {"v1, queued, 4 clients": queued, **bulk}, floor)
        kilobytes = speed.mean_kilobytes(files)
        body = (
            f"{count} generated JPEGs, long side 160 to {pictures.LARGEST} pixels, "
            f"{kilobytes:.1f} KB on average, served by a process of its own; clients, file server "
            f"and database share the cores. An API key with each request, throttling on. "
            f"{'One run.' if times == 1 else f'The best of {times} runs.'}\n\n{body}\n\n"
            f"{_memory_report(memory)}"
        )
        print(body)
        report.write("speed", "Speed", command, body)


def _row(what: str, clients: int, measured: Measured) -> list[object]:
    print(f"{what}, {clients} clients: {measured.rate:.1f}/s", flush=True)
    return [
        what,
        clients,
        measured.rate,
        measured.p50,
        measured.p95,
        measured.cpu_ms,
        f"{measured.client:.0%}",
    ]


def _bulk(files: list[bytes], urls: list[str], times: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, data in enumerate(files):
            paths.append(Path(directory, f"{number}.jpg"))
            paths[-1].write_bytes(data)
        return {
            "`add_images`, a directory": max(speed.bulk(paths) for _ in range(times)),
            "`add_images`, a list of links": max(speed.bulk(urls) for _ in range(times)),
        }


def _speed_report(
    count: int,
    times: int,
    rows: list[list[object]],
    other: Mapping[str, float],
    floor: Mapping[str, float],
) -> str:
    header = ["what", "clients", "per second", "p50 ms", "p95 ms", "CPU ms", "client busy"]
    return "\n\n".join(
        [
            "An added picture is found by imgsmlr and pdq when the request is answered. "
            "*CPU ms*: processor time of the whole service, database included, for a request.",
            report.table(header, rows),
            report.table(["other ways of adding", "pictures per second"], list(other.items())),
            "The floor: the parts alone, one process, no HTTP.",
            report.table(["part", "per second"], list(floor.items())),
        ]
    )


def _memory_report(memory: Mapping[str, tuple[float, float]]) -> str:
    names = {
        "gunicorn": "web",
        "qcluster": "workers",
        "postgres": "PostgreSQL",
        "supervisor": "supervisor",
    }
    rows = [[names[name], *memory[name]] for name in names if name in memory]
    ours = [sum(memory[name][i] for name in ("gunicorn", "qcluster")) for i in (0, 1)]
    rows.append(["web + workers", *ours])
    return "Memory right after the start, without CLIP, MB:\n\n" + report.table(
        ["processes", "PSS", "sum of RSS"], rows
    )


if __name__ == "__main__":
    main()
