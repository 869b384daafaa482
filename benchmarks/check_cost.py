"""The cost of a check, compared with an earlier version: ``--against DIR``, a checkout of it.

Both services run at the same time, each with its own database and the same lists. They are asked in
turns, so that other load on the machine affects both equally.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import requests

from benchmarks import check_files, pictures, report, service

LISTS: Final = (1_000, 100_000)
"""Hashes on the list. The second size is measured after the first."""

ITEMS: Final = 100
"""Other items on the list: pictures that do not match the checked files."""

NAME: Final = "cost"
KEY: Final = """
from django.contrib.auth.models import User
from imgsmlr_site.models import ApiKey
user = User.objects.create_superuser("check-cost", password="x")
print(ApiKey.issue(name="cost", scopes=["add", "search", "check", "lists"], user=user)[1])
"""
QUIET: Final = 0.04
"""A service is idle if it uses at most this share of a core."""
PATIENCE: Final = 300.0


@dataclass
class Side:
    """A running version. ``cpu`` and ``wall``: kind → milliseconds per check, for each round."""

    name: str
    root: Path
    started: service.Service
    key: str = ""
    cpu: dict[str, list[float]] = field(default_factory=dict)
    wall: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON answer. Raise ``requests.HTTPError``."""
        url = f"http://{self.started.host}:{self.started.port}/api/v1/{path}"
        answer = requests.request(
            method, url, headers={"X-API-Key": self.key}, timeout=600, **options
        )
        answer.raise_for_status()
        return answer.json()

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=self.root,
            env=self.started.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def fill(self, pictured: Sequence[bytes]) -> None:
        """Make a list that blocks, with items that have pictures."""
        self.key = self.run("shell", "-c", KEY).split()[-1]
        made = {"name": NAME, "action": "block"}
        pk = self.ask("POST", "moderation/lists/", json=made)["id"]
        for data in pictured:
            self.ask("POST", f"moderation/lists/{pk}/items/", files={"file": data})

    def import_hashes(self, file: Path) -> None:
        """Import hashes from a file, as an operator does."""
        self.run("import_hash_list", str(file), "--list", NAME, "--yes")
        self.settle()

    def settle(self) -> None:
        """Wait until the service is idle."""
        end = time.monotonic() + PATIENCE
        before = service.cpu_seconds(self.started.pid)
        quiet = 0
        while quiet < 2 and time.monotonic() < end:
            time.sleep(1)
            now = service.cpu_seconds(self.started.pid)
            quiet = quiet + 1 if now - before <= QUIET else 0
            before = now

    def check(self, kind: str, files: Sequence[bytes]) -> None:
        ending = check_files.KINDS[kind][0]
        cpu, wall = service.cpu_seconds(self.started.pid), time.perf_counter()
        for data in files:
            self.ask("POST", "moderation/check/", files={"file": (f"file.{ending}", data)})
        wall = time.perf_counter() - wall
        cpu = service.cpu_seconds(self.started.pid) - cpu
        self.cpu.setdefault(kind, []).append(1000 * cpu / len(files))
        self.wall.setdefault(kind, []).append(1000 * wall / len(files))

    def forget(self) -> None:
        """Delete the measured values."""
        self.cpu, self.wall = {}, {}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks check-cost", description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="a checkout of that version")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", default="", help="only files with this in their name; no report")
    options = parser.parse_args(arguments)
    rounds = 3 if options.quick else 5
    files = dict(check_files.made(rounds + 1, options.only))
    with _both(options.against.resolve()) as sides:
        pictured = [pictures.jpeg(50_000 + number) for number in range(ITEMS)]
        for side in sides:
            side.fill(pictured)
        tables = []
        for hashes in LISTS:
            file = _hashes(hashes, service_directory(sides[0]))
            for side in sides:
                side.import_hashes(file)
            _measure(sides, files, rounds)
            rows = _rows(sides, files)
            tables.append(f"{hashes:,} hashes and {ITEMS} items with pictures:")
            tables.append(report.table(HEADER, rows))
            print("\n".join(tables[-2:]), flush=True)
        if options.only:
            return
        earlier = _commit(options.against)
        body = "\n\n".join([_words(earlier, rounds), *tables])
        words = "python -m benchmarks check-cost" + (" --quick" if options.quick else "")
        report.write("check-cost", "What a check costs", f"{words} --against …", body)


HEADER: Final = (
    *("check of a", "CPU ms, before", "CPU ms, now", "ratio"),
    *("wall ms, before", "wall ms, now", "ratio"),
)


@contextmanager
def _both(against: Path) -> Iterator[list[Side]]:
    with service.running() as ours, service.started(against) as theirs:
        yield [Side("before", against, theirs), Side("now", service.ROOT, ours)]


def service_directory(side: Side) -> Path:
    return Path(side.started.environment["DATA_DIR"])


def _hashes(count: int, inside: Path) -> Path:
    """Write ``count`` hashes of quality 90 that match no picture. Return the file."""
    random = np.random.default_rng(7)
    file = inside / f"{count}.csv"
    rows = (f"pdq,{random.bytes(32).hex()},90" for _ in range(count))
    file.write_text("\n".join(["kind,hash,quality", *rows]))
    return file


def _measure(sides: list[Side], files: dict[str, list[list[bytes]]], rounds: int) -> None:
    for round in range(rounds + 1):
        if round == 1:
            # The first round was a warm-up: imports, connections and models.
            for side in sides:
                side.forget()
        for kind, some in files.items():
            for side in sides if round % 2 else reversed(sides):
                side.check(kind, some[round])


def _rows(sides: list[Side], kinds: Sequence[str] | dict[str, Any]) -> list[list[object]]:
    rows: list[list[object]] = []
    for kind in kinds:
        row: list[object] = [kind]
        for what in ("cpu", "wall"):
            before, now = (median(getattr(side, what)[kind]) for side in sides)
            row += [f"{before:.0f}", f"{now:.0f}", f"{now / before:.2f}"]
        rows.append(row)
    return rows


def _commit(root: Path) -> str:
    words = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or "an earlier version"


def _words(earlier: str, rounds: int) -> str:
    return (
        f"Before: {earlier}. Both services run beside one another with a database each and are "
        f"asked over HTTP in turns, {rounds} rounds after one that does not count; no file is sent "
        "twice to one service, but for the clips. CPU: of all processes of the service, database "
        "included, for one check; medians of the rounds."
    )
