"""``make load``: mixed traffic at saturation against a service of its own, and what must hold.

For some minutes clients add, search, check, and open pages, as fast as the service answers. Then
many add the same picture at once. Everything is on this machine and follows from ``--seed``. It
ends with an error if one of ``Limits`` is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import orjson
from PIL import Image

from benchmarks import fileserver, service

MIX: Final = {
    "add": 30,
    "add by link": 10,
    "search": 20,
    "search by link": 10,
    "check": 10,
    "list": 5,
    "status": 5,
    "page": 10,
}
"""Kind of request → its share in percent."""
MAX_QUEUE: Final = 300
"""Tasks that may wait, in this service: little enough that the back-pressure is felt."""
EQUAL: Final = 1000
LINKS: Final = 2000
BACK_OFF: Final = 0.5
"""Seconds that a client waits after a 429. Longer ones would leave the service idle."""


@dataclass(frozen=True)
class Limits:
    """What the run must keep. ``growth``: of the web's memory after the first third of the run."""

    growth: float = 0.05
    health_ms: float = 200
    queue: int = MAX_QUEUE + 40
    """Requests that were let in together may each add a task."""


@dataclass
class Report:
    """What was seen. Times are in milliseconds."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    equal: Counter[int] = field(default_factory=Counter)
    rows_of_equal: int = 0

    def broken(self, limits: Limits) -> list[str]:
        """Return a sentence for each limit that was broken."""
        found = self.errors[:5]
        if self.growth > limits.growth:
            found.append(f"The web's memory grew by {self.growth:.1%}.")
        if self.health and max(self.health) > limits.health_ms:
            found.append(f"/healthz took up to {max(self.health):.0f} ms.")
        if self.queue and max(self.queue) > limits.queue:
            found.append(f"{max(self.queue)} tasks waited.")
        if self.rows_of_equal != 1:
            found.append(f"Equal adds made {self.rows_of_equal} rows.")
        return found

    @property
    def growth(self) -> float:
        """Growth from the second third of the run to its last, as a share."""
        third = len(self.memory) // 3
        if not third:
            return 0.0
        warm = statistics.median(self.memory[third : 2 * third])
        return statistics.median(self.memory[-third:]) / warm - 1

    def table(self) -> str:
        lines = [
            "| request | answered | 429 | p50 ms | p95 ms | p99 ms |",
            "|---|---|---|---|---|---|",
        ]
        for kind, times in sorted(self.times.items()):
            p50, p95, p99 = (f"{value:.0f}" for value in np.percentile(times, [50, 95, 99]))
            refused = self.answers[kind, 429]
            lines.append(f"| {kind} | {len(times)} | {refused} | {p50} | {p95} | {p99} |")
        p99, worst = np.percentile(self.health, 99), max(self.health)
        equal = ", ".join(f"{count} × {status}" for status, count in sorted(self.equal.items()))
        lines += [
            "",
            f"- `/healthz`: {len(self.health)} times, p99 {p99:.0f} ms, at most {worst:.0f} ms",
            f"- memory of the web: {self.memory[-1]:.0f} MB, growth {self.growth:+.1%}",
            f"- tasks that waited: at most {max(self.queue)}",
            f"- equal adds at once: {self.rows_of_equal} row; answers {equal}",
        ]
        return "\n".join(lines)


class Traffic:
    """Clients that send requests until ``end``."""

    def __init__(self, port: int, seed: int, links: list[str], report: Report) -> None:
        self.port, self.seed, self.links, self.report = port, seed, links, report
        self.end = 0.0
        self.lock = threading.Lock()

    def run(self, clients: int, seconds: float, pid: int) -> None:
        self.end = time.monotonic() + seconds
        works: list[Callable[[], None]] = [
            lambda: self._take_probes(seconds),
            lambda: self._sample(pid),
        ]
        works += [lambda number=number: self._client(number) for number in range(clients)]  # type: ignore[misc]
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number: int) -> None:
        choice = random.Random(f"{self.seed} {number}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        kinds, shares = zip(*MIX.items(), strict=True)
        count = 0
        while time.monotonic() < self.end:
            kind = choice.choices(kinds, shares)[0]
            count += 1
            method, path, body, headers = self._request(kind, choice, f"{number}-{count}")
            began = time.perf_counter()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # A kept connection may be closed by the server at any time between requests.
                self._failed(f"{kind}: {type(error).__name__}: {error}")
                continue
            spent = (time.perf_counter() - began) * 1000
            self._answered(kind, response, text, spent)
            if response.status == 429:
                time.sleep(BACK_OFF)

    def _request(
        self, kind: str, choice: random.Random, name: str
    ) -> tuple[str, str, bytes | None, dict[str, str]]:
        link = choice.choice(self.links)
        match kind:
            case "add":
                return "POST", "/api/v1/images/", *form(picture(choice), data_id=name)
            case "add by link":
                return "POST", "/imgsmlr/mgr/add", *as_json({"url": link, "dataId": name})
            case "search":
                return "POST", "/api/v1/images/search/", *form(picture(choice), match_type="pdq")
            case "search by link":
                return "POST", "/imgsmlr/search", *as_json({"url": link, "matchType": "imgsmlr"})
            case "check":
                return "POST", "/api/v1/moderation/check/", *form(picture(choice))
            case "list":
                return "GET", "/api/v1/images/?page_size=20", None, {}
            case "status":
                return "GET", "/api/v1/status/", None, {}
        return "GET", "/imgsmlr/", None, {}

    def _answered(
        self, kind: str, response: http.client.HTTPResponse, text: bytes, spent: float
    ) -> None:
        status = response.status
        if status == 429 and not response.headers.get("Retry-After"):
            self._failed(f"{kind}: 429 without Retry-After")
        # The same link again is refused as such; the original's API says so in its body.
        if status not in (200, 201, 202, 409, 429):
            self._failed(f"{kind}: {status} {text[:200].decode(errors='replace')}")
        with self.lock:
            self.report.answers[kind, status] += 1
            if status != 429:
                self.report.times[kind].append(spent)

    def _failed(self, what: str) -> None:
        with self.lock:
            self.report.errors.append(what)

    def _take_probes(self, seconds: float) -> None:
        # In a process of its own: here the clients would delay it.
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            times, errors = pool.apply(probe, (self.port, seconds))
        self.report.health += times
        for error in errors:
            self._failed(f"/healthz: {error}")

    def _sample(self, pid: int) -> None:
        while time.monotonic() < self.end:
            self.report.memory.append(service.memory(pid).get("gunicorn", (0.0, 0.0))[0])
            answer = get(self.port, "/api/v1/status/")
            waiting = (answer["queues"][name] for name in ("light", "embed"))
            self.report.queue.append(sum(queue["due"] + queue["working"] for queue in waiting))
            time.sleep(2)


def probe(port: int, seconds: float) -> tuple[list[float], list[str]]:
    """Ask ``/healthz`` ten times a second. Return the milliseconds, and what went wrong."""
    times, errors = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/healthz")
            status = connection.getresponse().status
            connection.close()
            if status != 200:
                errors.append(str(status))
        except (OSError, http.client.HTTPException) as error:
            errors.append(str(error))
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.1)
    return times, errors


def picture(choice: random.Random) -> bytes:
    """Return a JPEG that no other call makes: a few large spots of colour."""
    spots = np.frombuffer(choice.randbytes(6 * 8 * 3), np.uint8).reshape(6, 8, 3)
    file = io.BytesIO()
    Image.fromarray(spots).resize((480, 360), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def as_json(body: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return orjson.dumps(body), {"Content-Type": "application/json"}


def form(file: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    boundary = uuid.UUID(int=0).hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = b"".join([*parts, head.encode(), file, f"\r\n--{boundary}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def get(port: int, path: str) -> dict[str, dict[str, dict[str, int]]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path)
    answer: dict[str, dict[str, dict[str, int]]] = orjson.loads(connection.getresponse().read())
    connection.close()
    return answer


def equal_adds(port: int, count: int, report: Report) -> None:
    """Add one picture ``count`` times at once. Those that were refused for now do so again."""
    body, headers = form(picture(random.Random("equal")), data_id="equal")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Host: localhost", f"Content-Length: {len(body)}", "Connection: close", "", ""]
    request = "\r\n".join(["POST /api/v1/images/ HTTP/1.1", *lines]).encode() + body

    async def add() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request)
                status = int((await reader.readline()).split()[1])
                await reader.read()
                writer.close()
            except (OSError, IndexError) as error:
                report.errors.append(f"equal add: {type(error).__name__}: {error}")
                return
            report.equal[status] += 1
            if status != 429:
                if status not in (202, 409):
                    report.errors.append(f"equal add: {status}")
                return
            await asyncio.sleep(1)

    async def all_at_once() -> None:
        await asyncio.gather(*(add() for _ in range(count)))

    # In a thread of its own: tests may have an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, all_at_once()).result()
    listed = get(port, "/api/v1/images/?data_id=equal")
    report.rows_of_equal = len(listed["results"])


def run(port: int, pid: int, *, seconds: float, clients: int, seed: int, equal: int) -> Report:
    """Put the service under load. ``pid``: the process above all of its processes."""
    report = Report()
    choice = random.Random(seed)
    with fileserver.serving([picture(choice) for _ in range(LINKS)]) as links:
        Traffic(port, seed, list(links), report).run(clients, seconds, pid)
    equal_adds(port, equal, report)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["MAX_QUEUE"] = str(MAX_QUEUE)
    with service.started(service.ROOT) as started:
        report = run(
            started.port,
            started.pid,
            seconds=options.minutes * 60,
            clients=options.clients,
            seed=options.seed,
            equal=EQUAL,
        )
    print(report.table())
    if broken := report.broken(Limits()):
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
