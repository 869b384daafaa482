"""Adding and searching by the original's API: small pictures and photographs, and a peer beside.

With ``PEER=http://host:port`` each measurement is repeated against that server right afterwards, so
that both meet the same files and the same machine. Any server with the original's API will do. It
must be allowed to fetch from 127.0.0.1, and have none of the pictures yet.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from PIL import Image

from benchmarks import client, fileserver, photographs, pictures, report, service, speed
from benchmarks.client import Measured
from benchmarks.speed import Target

CLIENTS = (1, 4)
WARM_UP = 12
QUIET_SECONDS = 600


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds a request: until it was answered, and of the work afterwards."""

    answering: float
    afterwards: float


@dataclass(frozen=True)
class Row:
    kind: str
    what: str
    clients: int
    ours: Measured
    cost: Cost
    peer: Measured | None


def run(started: service.Service, quick: bool, command: str) -> None:
    counts = {"small": 120, "photographs": 16} if quick else {"small": 400, "photographs": 60}
    target = Target(started.host, started.port, speed.issue_key(), started.pid)
    peer = _peer()
    rows: list[Row] = []
    decode: dict[str, float] = {}
    sizes: list[str] = []
    for kind, count in counts.items():
        needed = WARM_UP + len(CLIENTS) * count
        files = (pictures if kind == "small" else photographs).jpegs(needed)
        decode[kind] = _decode_ms(files[WARM_UP:])
        sizes.append(
            f"{kind}: {count} files a row, {speed.mean_kilobytes(files):.0f} KB on average"
        )
        with fileserver.serving(files) as urls:
            rows += _rows(kind, target, peer, urls, count)
    body = "\n\n".join(
        [
            "By link, match type imgsmlr, one run. *Answering*, *afterwards*: CPU ms of all "
            "processes for a request, until the last answer and then until the queue is empty. "
            "*Decodes*: both in units of one decode of the same file by Pillow ("
            + ", ".join(f"{kind} {cost:.1f} ms" for kind, cost in decode.items())
            + f"). {'; '.join(sizes)}.",
            report.table(*_table(rows, decode)),
        ]
    )
    print(body)
    if peer:
        command = f"PEER=http://{peer.host}:{peer.port} {command}"
    report.write("legacy", "The original's API", command, body)


def _rows(
    kind: str, target: Target, peer: Target | None, urls: Sequence[str], count: int
) -> Iterator[Row]:
    for one in filter(None, (target, peer)):
        _ask(one, "add", urls[:WARM_UP], 4)
        _ask(one, "search", urls[:WARM_UP], 4)
    for number, clients in enumerate(CLIENTS):
        start = WARM_UP + number * count
        for what in ("add", "search"):
            some = urls[start : start + count]
            ours, cost = _measured(target, what, some, clients)
            theirs = _ask(peer, what, some, clients) if peer else None
            row = Row(kind, what, clients, ours, cost, theirs)
            print(row, flush=True)
            yield row


def _measured(
    target: Target, what: str, urls: Sequence[str], clients: int
) -> tuple[Measured, Cost]:
    assert target.pid is not None
    _wait_until_quiet()
    before = service.cpu_seconds(target.pid)
    measured = _ask(target, what, urls, clients)
    answered = service.cpu_seconds(target.pid)
    _wait_until_quiet()
    done = service.cpu_seconds(target.pid)
    each = 1000 / len(urls)
    return measured, Cost((answered - before) * each, (done - answered) * each)


def _ask(target: Target, what: str, urls: Sequence[str], clients: int) -> Measured:
    if what == "add":
        load = target.load(speed.ADD["legacy"], [{"url": url} for url in urls])
    else:
        asked = {"matchType": "imgsmlr", "threshold": 1.0, "limit": 20}
        load = target.load(speed.SEARCH["legacy"], [{"url": url, **asked} for url in urls])
    return client.run(load, clients)


def _wait_until_quiet() -> None:
    from django_q.models import OrmQ

    end = time.monotonic() + QUIET_SECONDS
    while OrmQ.objects.exists():
        if time.monotonic() > end:
            raise RuntimeError("the queue does not become empty")
        time.sleep(0.05)


def _decode_ms(files: Sequence[bytes]) -> float:
    started = time.process_time()
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    return 1000 * (time.process_time() - started) / len(files)


def _peer() -> Target | None:
    address = os.environ.get("PEER")
    if not address:
        return None
    parts = urlsplit(address)
    return Target(parts.hostname or "", parts.port or 80, os.environ.get("PEER_KEY", ""))


def _table(
    rows: Sequence[Row], decode: Mapping[str, float]
) -> tuple[list[str], list[list[object]]]:
    header = ["pictures", "what", "clients", "per second", "p50 ms", "p95 ms"]
    header += ["answering", "afterwards", "decodes"]
    lines: list[list[object]] = []
    for row in rows:
        cost, unit = row.cost, decode[row.kind]
        decodes = f"{cost.answering / unit:.1f} + {cost.afterwards / unit:.1f}"
        ours = row.ours
        line: list[object] = [row.kind, row.what, row.clients, ours.rate, ours.p50, ours.p95]
        line += [cost.answering, cost.afterwards, decodes]
        if row.peer:
            line += [row.peer.rate, f"{ours.rate / row.peer.rate:.2f}"]
        lines.append(line)
    if rows and rows[0].peer:
        header += ["peer per second", "ratio"]
    return header, lines
