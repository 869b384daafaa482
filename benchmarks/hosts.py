"""Three hosts with one database and one bucket, against one host: what a request costs on them.

A host is a process tree with a directory of its own. PostgreSQL, the storage and the clients are on
this machine, too: three hosts have the processors of one here. So the processor time of a request
is what can be compared, and how long a ban takes to reach each host.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg2
import requests
from numpy.typing import NDArray
from PIL import Image

from benchmarks import client, pictures, report, service
from benchmarks.cache import directory
from benchmarks.load import form

WEB: Final = ("-m", "gunicorn", "-c", "python:imgsmlr_site.gunicorn_conf", "imgsmlr_site.wsgi")
WORKERS: Final = ("manage.py", "qcluster", "light", "lists")
CLIENTS: Final = 6
WARM_UP: Final = 2 * CLIENTS
COUNT, QUICK = 120, 24
BANS, QUICK_BANS = 30, 6
BUCKET: Final = "media"
CHECK: Final = "/api/v1/moderation/check/"
SEARCH: Final = "/api/v1/images/search/"
ADD: Final = "/api/v1/images/"


@dataclass
class Host:
    """A directory, the settings of all hosts, and what runs there. ``url``: of its web server."""

    data_dir: Path
    env: dict[str, str]
    url: str = field(init=False)
    port: int = field(init=False)
    processes: list[subprocess.Popen[bytes]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        places = {"DATA_DIR": str(self.data_dir), "TMPDIR": str(self.data_dir)}
        self.env = {**self.env, **places, "PORT": str(self.port)}

    @property
    def log(self) -> Path:
        return self.data_dir / "host.log"

    def run(self, *words: str) -> None:
        with self.log.open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, *words], cwd=service.ROOT, env=self.env, stdout=log, stderr=log
                )
            )

    def finish(self, *words: str) -> None:
        """Run a command to its end."""
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=service.ROOT, env=self.env, capture_output=True)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def answers(self) -> bool:
        if any(process.poll() is not None for process in self.processes):
            raise RuntimeError(self.log.read_text())
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def stop(self) -> list[int]:
        """Return the exit codes."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process in self.processes]


@dataclass(frozen=True)
class Bucket:
    """Storage that speaks S3: moto's server, which notes each request."""

    url: str
    log: Path

    def asked(self) -> Counter[str]:
        """Return how often each method was used so far."""
        return Counter(re.findall(r"([A-Z]+) /\S* HTTP/", self.log.read_text()))


@dataclass(frozen=True)
class World:
    """One database and one bucket."""

    dsn: str
    postgres: int
    bucket: Bucket
    key: str

    def cpu_ms(self, hosts: Sequence[Host]) -> NDArray[np.float64]:
        """Return processor milliseconds so far: of the hosts, and of PostgreSQL."""
        ours = [process.pid for host in hosts for process in host.processes]
        seconds = [sum(map(service.cpu_seconds, ours)), service.cpu_seconds(self.postgres)]
        return 1000 * np.array(seconds)


@dataclass
class Row:
    what: str
    hosts: int
    measured: client.Measured
    cpu_ms: Sequence[float]
    asked: Counter[str]
    count: int
    connections: int

    def cells(self) -> list[object]:
        times = self.measured
        s3 = ", ".join(
            f"{number / self.count:.1f} {method}" for method, number in sorted(self.asked.items())
        )
        cells = [self.what, self.hosts, times.rate, times.p50, times.p95, *self.cpu_ms]
        return [*cells, s3 or "none", self.connections]


def phases(world: World, hosts: Sequence[Host], files: Sequence[bytes]) -> Iterator[Row]:
    """Add, search and check by all hosts that have a web server. Raises at an error answer."""
    from gallery.items.models import Image as StoredImage

    def described(count: int) -> None:
        while StoredImage.objects.ready().count() < count:
            time.sleep(0.05)

    # The first host takes what is added; the workers of another describe it.
    what, first, kept = "add, described by the workers", files[:WARM_UP], files[WARM_UP:]
    _send(hosts[:1], ADD, first, world.key)
    described(len(first))  # models are loaded
    added = partial(described, len(files))
    yield _measured(world, hosts, what, ADD, kept, hosts[:1], added)
    for match_type in ("pdq", "auto"):
        what = f"search, {match_type}"
        _send_to_each(world, hosts, SEARCH, first, match_type=match_type)
        yield _measured(world, hosts, what, SEARCH, kept, hosts, match_type=match_type, limit="10")
    _send_to_each(world, hosts, CHECK, first)
    yield _measured(world, hosts, "check", CHECK, kept, hosts)


def _send_to_each(
    world: World, hosts: Sequence[Host], path: str, files: Sequence[bytes], **fields: str
) -> None:
    """Let each thread import and connect, which it does at its first request."""
    for host in hosts:
        _send([host], path, files, world.key, **fields)


def _measured(
    world: World,
    running: Sequence[Host],
    what: str,
    path: str,
    files: Sequence[bytes],
    asked: Sequence[Host],
    until: Callable[[], None] = lambda: None,
    **fields: str,
) -> Row:
    requests_before, cpu = world.bucket.asked(), world.cpu_ms(running)
    with _watched(world.dsn) as connections:
        began = time.perf_counter()
        answers = _send(asked, path, files, world.key, **fields)
        until()
        elapsed = time.perf_counter() - began
    spent = (world.cpu_ms(running) - cpu) / len(files)
    measured = client.Measured(
        len(files) / elapsed,
        float(np.mean([each.p50 for each in answers])),
        max(each.p95 for each in answers),
        max(each.client for each in answers),
    )
    counted = world.bucket.asked()
    counted.subtract(requests_before)
    most = max(connections) - 1  # one is this process's
    row = Row(what, len(running), measured, spent.tolist(), +counted, len(files), most)
    print(row.cells(), flush=True)
    return row


def _send(
    hosts: Sequence[Host], path: str, files: Sequence[bytes], key: str, **fields: str
) -> list[client.Measured]:
    """Share the files among the hosts, and the clients, too; all at once."""
    bodies = [form(data, **fields) for data in files]
    loads = [
        client.Load(
            "127.0.0.1",
            host.port,
            path,
            {"X-API-Key": key, **bodies[0][1]},
            [body for body, _ in bodies[number :: len(hosts)]],
        )
        for number, host in enumerate(hosts)
    ]
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(lambda load: client.run(load, CLIENTS // len(hosts)), loads))


@contextmanager
def _watched(dsn: str) -> Iterator[list[int]]:
    """Yield a list to which the connections of hosts are counted, some times a second."""
    seen, over = [0], threading.Event()
    counting = (
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND application_name <> 'benchmark'"
    )

    def watch() -> None:
        connection = psycopg2.connect(dsn, application_name="benchmark")
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not over.wait(0.2):
                cursor.execute(counting)
                seen.append(cursor.fetchone()[0])
        connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class Ban:
    """``before``: how long a check took on each host before the ban, ms; ``after``: how long after
    the answer to the ban each host refused a copy; ``late``: how many checks that began after the
    answer still allowed it."""

    before: Sequence[float]
    after: Sequence[float]
    late: int


def bans(
    world: World, hosts: Sequence[Host], files: Sequence[bytes], searched: Sequence[bytes]
) -> Iterator[Ban]:
    """Ban one picture after another, on one host after another, while all hosts search."""
    from moderation.access.permissions import Actor
    from moderation.lists import list_writes
    from moderation.lists.verdicts import Action

    by = Actor.machine("command:benchmark")
    on = list_writes.create_list(by=by, name="hosts", action=Action.BLOCK).pk
    over = threading.Event()

    def search() -> None:
        while not over.is_set():
            _send(hosts, SEARCH, searched, world.key, match_type="pdq")

    with ThreadPoolExecutor(len(hosts) + 1) as pool:
        load = pool.submit(search)
        try:
            for host, data in zip(itertools.cycle(hosts), files, strict=False):
                copy = _again(data)
                before = list(pool.map(partial(_refused, world, copy, most=1), hosts))
                if [allowed for _, allowed in before] != [1] * len(hosts):
                    raise RuntimeError("A picture is refused before it is banned.")
                _post(host, f"/api/v1/moderation/lists/{on}/items/", data, world.key)
                after = list(pool.map(partial(_refused, world, copy), hosts))
                late = sum(allowed for _, allowed in after)
                yield Ban([ms for ms, _ in before], [ms for ms, _ in after], late)
        finally:
            over.set()
        load.result()


def _refused(world: World, data: bytes, host: Host, most: float = math.inf) -> tuple[float, int]:
    """Check a picture until it is refused or was allowed ``most`` times. Return the milliseconds,
    and how often it was allowed."""
    began, allowed = time.perf_counter(), 0
    while allowed < most and _post(host, CHECK, data, world.key)["verdict"] == "allow":
        allowed += 1
    return 1000 * (time.perf_counter() - began), allowed


def _post(host: Host, path: str, data: bytes, key: str) -> Any:
    file = {"file": ("x.jpg", data)}
    answer = requests.post(host.url + path, files=file, headers={"X-API-Key": key}, timeout=60)
    answer.raise_for_status()
    return answer.json()


def _again(data: bytes) -> bytes:
    """Return a smaller copy, which only its looks give away."""
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.resize((picture.width * 4 // 5, picture.height * 4 // 5)).save(file, "JPEG", quality=70)
    return file.getvalue()


@contextmanager
def bucket(place: Path) -> Iterator[Bucket]:
    from tests.peers import python_with

    port, log = _free_port(), place / "s3.log"
    command = [str(python_with("s3", directory() / "peers")), "-m", "moto.server", "-p", str(port)]
    with log.open("w") as output:
        server = subprocess.Popen([*command, "-H", "127.0.0.1"], stdout=output, stderr=output)
    found = Bucket(f"http://127.0.0.1:{port}", log)
    try:
        _wait(lambda: _made(found))
        yield found
    finally:
        server.terminate()
        server.wait()


def _made(found: Bucket) -> bool:
    try:
        return requests.put(f"{found.url}/{BUCKET}", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def world() -> Iterator[tuple[World, Callable[[], Host]]]:
    """Start a database and a bucket, and connect this process's Django to them.

    Yield them, and what makes another host of them.
    """
    from imgsmlr_site.postgres.server import EmbeddedPostgres

    place = Path(tempfile.mkdtemp(prefix="imgsmlr-bench-"))
    # If we are root, PostgreSQL runs as another user, who must be able to enter.
    place.chmod(0o755)
    (place / "database").mkdir(mode=0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        store = stack.enter_context(bucket(place))
        server = stack.enter_context(EmbeddedPostgres(place / "database"))
        assert server.process is not None
        env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
            "DATABASE_URL": server.dsn.replace("postgresql://", "postgres://"),
            "MEDIA_S3_URL": f"{store.url.replace('//', '//any:secret@')}/{BUCKET}/hosts",
            "SECRET_KEY": "that of all hosts",
            "CLIP_PRETRAINED": "none",
            "WEB_PROCESSES": "1",
            "SCREEN_QUERIES": "true",
            "THROTTLE_POINTS": "100000000",
        }
        numbers = itertools.count(1)

        def make_host() -> Host:
            data_dir = place / f"host{next(numbers)}"
            data_dir.mkdir(mode=0o755)
            if (models := place / "host1" / "models").exists():
                shutil.copytree(models, data_dir / "models")
            return Host(data_dir, env)

        first = make_host()
        first.finish("manage.py", "migrate", "-v0")
        first.finish("manage.py", "prepare_models", "copy")
        os.environ |= {**first.env, "DATA_DIR": str(place / "here")}
        import django

        django.setup()
        from django.db import connections

        from imgsmlr_site.models import ApiKey

        _, key = ApiKey.issue(name="hosts", scopes=["search", "add", "check", "lists"])
        yield World(server.dsn, server.process.pid, store, key), make_host
        connections.close_all()


@contextmanager
def running(hosts: Sequence[tuple[Host, Sequence[Sequence[str]]]]) -> Iterator[list[Host]]:
    """Start what each host runs, wait until its web server answers, and stop all at the end."""
    try:
        for host, programs in hosts:
            for words in programs:
                host.run(*words)
        for host, programs in hosts:
            if WEB in programs:
                _wait(host.answers)
        yield [host for host, _ in hosts]
    finally:
        for host, _ in hosts:
            host.stop()


def _wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("It did not start.")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(count: int, banned: int, command: str) -> None:
    files = pictures.jpegs(WARM_UP + count + banned)
    kept, listed = files[: WARM_UP + count], files[WARM_UP + count :]
    with world() as (one, make_host):
        from benchmarks.speed import forget_images

        with running([(make_host(), [WEB, WORKERS])]) as hosts:
            rows = list(phases(one, hosts, kept))
        forget_images()
        three = [(make_host(), [WEB]), (make_host(), [WEB, WORKERS]), (make_host(), [WEB])]
        with running(three) as hosts:
            rows += phases(one, hosts, kept)
            found = list(bans(one, hosts, listed, kept))
        body = tables(rows, found, count)
        print(body)
        report.write("hosts", "Many hosts", command, body)


def tables(rows: Sequence[Row], found: Sequence[Ban], count: int) -> str:
    header = ["what", "hosts", "per second", "p50 ms", "p95 ms"]
    header += ["CPU ms, hosts", "CPU ms, PostgreSQL", "S3 requests", "connections"]
    before = [ms for ban in found for ms in ban.before]
    after = [ms for ban in found for ms in ban.after]
    late = sum(ban.late for ban in found)
    times = [
        [what, len(each), *map(float, np.percentile(each, [50, 95, 100])), allowed]
        for what, each, allowed in (("a check before", before, ""), ("refused after", after, late))
    ]
    return "\n\n".join(
        [
            f"{count} generated JPEGs, {CLIENTS} clients. *One host*: a web server and workers. "
            "*Three*: three web servers, and workers on the second. Each host is a process tree "
            "with a directory of its own. PostgreSQL, the storage (moto's S3 server) and the "
            "clients share the cores with them, so three hosts cannot be faster here than one. "
            "*CPU ms*: of all hosts and of PostgreSQL, for a request, or for an added picture with "
            "its description. *S3 requests*: for a request. *Connections*: of PostgreSQL, the most "
            "at once. An answer that is an error would have ended the run: there was none.",
            report.table(header, [row.cells() for row in rows]),
            f"{len(found)} bans, on one host after the other, while all three search. *Before*: a "
            "check of a smaller copy on each host, at the same time. *After*: from the answer to "
            "the ban until each host has refused the copy. *Allowed*: checks that began after the "
            "answer and did not refuse it. A refusal takes longer than an answer that allows, as "
            "key points are compared, too.",
            report.table(["", "checks", "median ms", "p95 ms", "max ms", "allowed"], times),
        ]
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks hosts", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pictures and bans")
    quick = parser.parse_args(arguments).quick
    count, banned = (QUICK, QUICK_BANS) if quick else (COUNT, BANS)
    words = ["python -m benchmarks hosts", *(["--quick"] if quick else [])]
    measure(count, banned, " ".join(words))


if __name__ == "__main__":
    main(sys.argv[1:])
