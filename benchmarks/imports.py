"""Importing a million hashes: seconds by step, memory, and importing the same file again."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report, service

COUNT, QUICK = 1_000_000, 100_000


@dataclass(frozen=True)
class Measured:
    """One run of the command: wall seconds, peak resident memory in MB, and its output."""

    seconds: float
    megabytes: float
    printed: str


def run(started: service.Service, quick: bool, command: str) -> None:
    body = measured(quick=quick)
    print(body)
    report.write("imports", "Importing hash lists", command, body)


def measured(*, quick: bool) -> str:
    from moderation.access.permissions import Actor
    from moderation.lists import list_writes

    count = QUICK if quick else COUNT
    by = Actor.machine("benchmark")
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for name, lines in (("csv", csv_lines), ("stopncii", stopncii_lines)):
            path = Path(directory, name)
            with path.open("w") as stream:
                stream.writelines(lines(count, ""))
            list_writes.create_list(by=by, name=name)
            for what in ("first time", "same file again"):
                rows.append([f"{name}, {what}", *_figures(measure(path, name))])
            if name == "csv":
                with path.open("w") as stream:
                    stream.writelines(lines(count, "changed "))
                changed = measure(path, name, "--yes")
                rows.append([f"{name}, each entry changed", *_figures(changed)])
    return "\n\n".join(
        [
            f"`manage.py import_hash_list` of {count:,} PDQ hashes with ids, qualities, tags and "
            "notes, into an empty list and again, beside a running service whose index of hashes "
            "is renewed meanwhile. *Peak*: resident memory of the importing process.",
            report.table(["file", "seconds", "rows per second", "peak MB", "printed"], rows),
        ]
    )


def _figures(measured: Measured) -> list[object]:
    found = re.search(r"([\d,]+)", measured.printed)
    rate = int(found[1].replace(",", "")) / measured.seconds if found else 0.0
    return [round(measured.seconds, 1), round(rate), round(measured.megabytes), measured.printed]


def measure(path: Path, name: str, *options: str) -> Measured:
    command = [sys.executable, "manage.py", "import_hash_list", str(path), "--list", name, *options]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=service.ROOT, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Measured(seconds, peak, printed.strip())


def _peak(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def _hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def csv_lines(count: int, words: str) -> Iterator[str]:
    yield "hash,kind,quality,source,source_id,tags,note,updated_at\n"
    for number in range(count):
        yield (
            f"{_hash(number)},pdq,{50 + number % 51},Partner,p-{number},one;two,"
            f"{words}note {number},2026-01-01T00:00:00Z\n"
        )


def stopncii_lines(count: int, words: str) -> Iterator[str]:
    yield '{"hashRecords":[\n'
    for number in range(count):
        comma = "," if number else ""
        yield (
            f'{comma}{{"lastModtimestamp":1767225600,"signalType":"ImagePDQ","hashValue":'
            f'"{_hash(-1 - number)}","hashStatus":"Active","caseNumbers":{{"c{number}":"Active"}},'
            '"CSPFeedbacks":[]}\n'
        )
    yield "]}\n"
