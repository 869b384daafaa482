"""How long each gate lets the program in front of it wait, and what that costs.

One client sends one request after another, over one connection where the program keeps it open. The
list has items with pictures, none of which matches.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
import requests

from benchmarks import pictures, report, service

REQUESTS, QUICK = 100, 20
ITEMS: Final = 100
WARM_UP: Final = 16
SECRET: Final = "benchmark"
SCANNER: Final = service.ROOT / "clients" / "scan" / "imgsmlr_scan.py"

Send = Callable[[int], Any]
"""Sends the picture of this number and returns what the gate says. It differs each time."""


@dataclass(frozen=True)
class Row:
    name: str
    calls: str
    seconds: Sequence[float]
    cpu: float

    def cells(self) -> list[object]:
        p50, p95 = (1000 * float(each) for each in np.percentile(self.seconds, [50, 95]))
        return [self.name, self.calls, p50, p95, 1000 * self.cpu / len(self.seconds)]


class Gates:
    """The programs in front of which the gates are, as far as the gates see them."""

    def __init__(self, started: service.Service, key: str, store: str, files: list[bytes]) -> None:
        self.base = f"http://{started.host}:{started.port}"
        self._environment = {**os.environ, "IMGSMLR_URL": self.base, "IMGSMLR_KEY": key}
        self._store, self._files = store, files
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def all(self) -> list[tuple[str, str, Send]]:
        return [
            ("a program of your own", "POST /api/v1/moderation/check/, a file", self.check),
            ("pict-rs", "POST /gate/pict-rs, the bytes", self.pict_rs),
            ("S3", "POST /gate/s3, which reads and tags the object", self.s3),
            ("Mastodon", "POST /gate/mastodon, which fetches one attachment", self.mastodon),
            ("HMA's API", "GET /hma/h/hash by link, then /hma/m/lookup by hash", self.hma),
            ("a script", "a process of clients/scan", self.script),
        ]

    def _post(self, path: str, **options: Any) -> Any:
        answer = self._session.post(self.base + path, timeout=60, **options)
        answer.raise_for_status()
        return answer.json()

    def check(self, number: int) -> Any:
        return self._post(
            "/api/v1/moderation/check/", files={"file": ("x.jpg", self._files[number])}
        )

    def pict_rs(self, number: int) -> Any:
        headers = {"Content-Type": "image/jpeg"}
        return self._post("/gate/pict-rs", data=self._files[number], headers=headers)

    def s3(self, number: int) -> Any:
        described = {"bucket": {"name": "uploads"}, "object": {"key": f"{number}.jpg"}}
        return self._post(
            "/gate/s3", json={"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": described}]}
        )

    def mastodon(self, number: int) -> Any:
        attached = [{"type": "image", "url": f"{self._store}/uploads/{number}.jpg"}]
        post = {"id": str(number), "account": {"id": "1"}, "media_attachments": attached}
        body = json.dumps({"event": "status.created", "object": post}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature": f"sha256={signature}", "Content-Type": "application/json"}
        return self._post("/gate/mastodon", data=body, headers=headers)

    def hma(self, number: int) -> Any:
        link = {"url": f"{self._store}/uploads/{number}.jpg"}
        hashed = self._session.get(f"{self.base}/hma/h/hash", params=link, timeout=60).json()
        asked = {"signal": hashed["pdq"], "signal_type": "pdq"}
        return self._session.get(f"{self.base}/hma/m/lookup", params=asked, timeout=60).json()

    def script(self, number: int) -> Any:
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            file.write(self._files[number])
            file.flush()
            command = [sys.executable, "-I", str(SCANNER), file.name]
            subprocess.run(command, env=self._environment, check=True, capture_output=True)
        return "allow"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gates", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(arguments).quick
    count = QUICK if quick else REQUESTS
    files = pictures.jpegs(2 * count + ITEMS)
    listed, files = files[:ITEMS], files[ITEMS:]
    with storage(files) as store, service.started(service.ROOT, **settings(store)) as started:
        os.environ |= started.environment
        rows = [row.cells() for row in measured(started, store, listed, files, count)]
        kilobytes = sum(map(len, files)) / len(files) / 1000
        body = "\n\n".join(
            [
                f"{count} generated JPEGs a row, {kilobytes:.1f} KB on average, one after another. "
                f"A list that blocks, with {ITEMS} items that have pictures; nothing matches. What "
                "is fetched comes from a process beside the service. *CPU ms*: processor time of "
                "the whole service, database included, for a picture; without the process of the "
                f"script. The machine's load was {os.getloadavg()[2]:.0f}: where it is above the "
                "number of cores, other programs make the waits longer.",
                report.table(["in front of", "calls", "p50 ms", "p95 ms", "CPU ms"], rows),
            ]
        )
        print(body)
        command = " ".join(["python -m benchmarks gates", *(["--quick"] if quick else [])])
        report.write("gates", "Gates", command, body)


def settings(store: str) -> dict[str, str]:
    return {
        "HMA_API": "hma",
        "PICT_RS_GATE": "block",
        "S3_GATE": "block",
        "S3_ENDPOINT": store,
        "S3_BUCKETS": "uploads",
        "S3_ACCESS_KEY": "key",
        "S3_SECRET_KEY": SECRET,
        "MASTODON_GATE": "block",
        "MASTODON_SECRET": SECRET,
    }


def measured(
    started: service.Service,
    store: str,
    listed: list[bytes],
    files: list[bytes],
    count: int,
    warm_up: int = WARM_UP,
) -> Iterator[Row]:
    gates = Gates(started, fill(listed), store, files)
    numbers = itertools.cycle(range(len(files)))
    for name, calls, send in gates.all():
        for _ in range(warm_up):
            send(next(numbers))
        seconds: list[float] = []
        before = service.cpu_seconds(started.pid)
        for _ in range(count):
            begun = time.perf_counter()
            send(next(numbers))
            seconds.append(time.perf_counter() - begun)
        row = Row(name, calls, seconds, service.cpu_seconds(started.pid) - before)
        print(row.cells(), flush=True)
        yield row


def fill(listed: Sequence[bytes]) -> str:
    """Make a list and return a key. Django is set up here, as it then knows one database."""
    import django

    django.setup()
    from imgsmlr_site.models import ApiKey
    from moderation.access.permissions import Actor
    from moderation.lists import item_adding, list_writes
    from moderation.lists.verdicts import Action

    by = Actor.machine("command:benchmark")
    row = list_writes.create_list(by=by, name=f"gates {uuid.uuid4()}", action=Action.BLOCK)
    for data in listed:
        item_adding.add_picture(by=by, list_id=row.pk, data=data)
    return ApiKey.issue(name=f"gates {time.time_ns()}", scopes=["check", "hma"])[1]


class _Storage(BaseHTTPRequestHandler):
    """Gives the picture whose number is asked for, and has no tags."""

    protocol_version = "HTTP/1.1"
    files: Sequence[bytes] = ()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        number = int(path.rpartition("/")[2].removesuffix(".jpg"))
        self._answer(b"<Tagging/>" if "tagging=" in query else self.files[number])

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


def _serve(files: Sequence[bytes], pipe: Connection) -> None:
    _Storage.files = files
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Storage)
    pipe.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def storage(files: Sequence[bytes]) -> Iterator[str]:
    """Serve the pictures as objects of a bucket, in a process of its own. Yield the address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(files, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
