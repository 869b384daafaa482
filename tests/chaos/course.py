"""The course of ``make chaos``: load, kills, faults of disk and database, checks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.db.utils import Error as DatabaseError
from PIL import Image as Pillow

from gallery.items.describing import KILLS_WORKERS, MAX_ATTEMPTS
from gallery.items.models import Image
from imgsmlr_site.models import ApiKey, Scope
from moderation.access.permissions import Role
from moderation.lists.models import BannedList
from moderation.lists.verdicts import Action, Severity
from moderation.webhooks.models import Webhook, WebhookEvent
from tests.chaos import checks
from tests.chaos.service import Service
from tests.chaos.work import BANNED_EVERY, Clients
from tests.factories import jpeg, photo
from tests.httpserver import HttpServer
from tests.moderation.factories import make_item, make_list, make_person
from tests.processes import children, wait_until
from tests.service import free_port
from videos.models import Video

FAST = {
    "THROTTLE_POINTS": "0",
    # Leases and retries follow from these: what a killed worker held is free sooner.
    "TASK_TIMEOUT": "10",
    # Beside other programs, a short timeout ends a task that only waits for its turn.
    "WORKER_NICE": "0",
    "WEBHOOK_TIMEOUT": "1",
    "FLOOD_LIMIT": "100000",
    "NEAR_CHECKS": "100000",
    "WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
}
UP_AGAIN = 30.0
"""Seconds after which the service must answer again by itself."""
SETTLED = 600.0


class Rows:
    """The table, printed row by row."""

    def __init__(self) -> None:
        self.add("", "")
        self.add("---", "---")

    def add(self, name: str, value: object) -> None:
        print(f"| {name} | {value} |", flush=True)


def run(data_dir: Path, *, kills: int, seed: int) -> list[str]:
    """Return what was wrong."""
    begin = time.monotonic()
    rows = Rows()
    wrong: list[str] = []
    with HttpServer() as receiver:
        receiver.routes["/hook"] = b"ok"
        service = Service(data_dir, free_port(), SECRET_KEY=settings.SECRET_KEY, **FAST)
        try:
            service.wait_up(180)
            clients = Clients(service.url, *_prepare(receiver.url), seed)
            clients.start()
            try:
                _kill(service, kills, random.Random(seed), rows, wrong)
            finally:
                clients.stop()
            rows.add("until nothing was left over", f"{_settle(wrong):.0f} s")
            wrong += _check(clients, receiver, rows)
            for name, fault in FAULTS.items():
                rows.add(name, fault(service, clients, wrong))
        except Exception:
            traceback.print_exc()
            wrong.append("The course was not run to its end")
        if (code := service.stop()) != 0:
            wrong.append(f"The service ended with code {code}")
    rows.add("seed, kills, in all", f"{seed}, {kills}, {time.monotonic() - begin:.0f} s")
    return wrong


def _prepare(receiver: str) -> tuple[dict[str, str], dict[str, int]]:
    """Keys and lists. Return both by name."""
    keys = {"adder": ApiKey.issue(name="adder", scopes=[Scope.ADD, Scope.SEARCH])[1]}
    for name, scopes, role in (
        ("checker", [Scope.CHECK, Scope.LISTS, Scope.SEARCH], Role.ADMIN),
        ("moderator", [Scope.MODERATE], Role.LEAD),
    ):
        user = make_person(role, name)
        _, keys[name] = ApiKey.issue(name=name, scopes=scopes, user=user)
    lists: dict[str, BannedList] = {
        name: make_list(name, action, severity=Severity.LOW)
        for name, action in (
            *(("banned", Action.BLOCK), ("imported", Action.REVIEW)),
            ("scanned", Action.REVIEW),
        )
    }
    for number in range(200):
        data = jpeg(photo(number * BANNED_EVERY))
        make_item(lists["banned"], ("sha256", hashlib.sha256(data).hexdigest()))
    Webhook.objects.create(
        name="receiver",
        url=f"{receiver}/hook",
        secret="whsec_" + "0" * 32,
        events=[WebhookEvent.READY, WebhookEvent.FAILED, WebhookEvent.VERDICT],
    )
    return keys, {name: row.pk for name, row in lists.items()}


def _kill(
    service: Service, kills: int, chance: random.Random, rows: Rows, wrong: list[str]
) -> None:
    """Kill processes one after the other; half the time wait until the service is up again."""
    killed: Counter[str] = Counter()
    waits = []
    starts = service.starts
    while killed.total() < kills:
        kind = service.kill_one(chance)
        if kind is None:
            time.sleep(0.05)
            continue
        killed[kind] += 1
        time.sleep(chance.uniform(0.1, 2))
        # Otherwise there would soon be little left to kill but starters.
        if kind == "starter" or chance.random() < 0.5 or killed.total() == kills:
            try:
                waits.append(service.wait_up(UP_AGAIN))
            except AssertionError:
                wrong.append(f"Not up {UP_AGAIN:.0f} s after kill {killed.total()} ({kind})")
                service.wait_up(300)
    waits.sort()
    rows.add("killed", ", ".join(f"{count} × {kind}" for kind, count in sorted(killed.items())))
    rows.add("starter started again", f"{service.starts - starts} times")
    half, most = waits[len(waits) // 2], waits[-1]
    rows.add("until it was up again", f"median {half:.1f} s, most {most:.1f} s")


def _settle(wrong: list[str]) -> float:
    connection.close()
    try:
        return checks.settle(SETTLED)
    except AssertionError as error:
        wrong.append(str(error))
        return SETTLED


def _check(clients: Clients, receiver: HttpServer, rows: Rows) -> list[str]:
    accepted = clients.accepted
    removed, left = checks.files()
    wrong = [*checks.images(accepted), *checks.videos(accepted)]
    wrong += [*checks.imports(accepted), *checks.cases(accepted)]
    wrong += [*checks.rescans(accepted), *checks.audit(), *left]

    def arrived() -> set[str]:
        return {request.headers.get("webhook-id", "") for request in receiver.requests}

    wrong += checks.webhooks(arrived)
    statuses, of_videos = (
        Counter(model.objects.values_list("status", flat=True)) for model in (Image, Video)
    )
    for name, value in (
        ("images accepted", str(len(accepted.images))),
        ("of them", ", ".join(f"{count} {name}" for name, count in sorted(statuses.items()))),
        ("videos accepted", str(len(accepted.videos))),
        ("of them", ", ".join(f"{count} {name}" for name, count in sorted(of_videos.items()))),
        ("imports of 3,000 rows, rescans", f"{len(accepted.imports)}, {len(accepted.scanned)}"),
        ("checks, batches of decisions", f"{accepted.checks}, {len(accepted.batches)}"),
        ("requests cut off, refused by status", f"{accepted.cut}, {accepted.refusals}"),
        ("messages that arrived", f"{len(receiver.requests)} ({len(arrived())} different)"),
        ("files that no row named, removed", str(removed)),
    ):
        rows.add(name, value)
    return wrong


# --- Faults -----------------------------------------------------------------------------


def _add(clients: Clients, seed: int) -> tuple[int, Any]:
    return _send(clients, photo(seed))


def _send(clients: Clients, picture: Pillow.Image) -> tuple[int, Any]:
    fields = {"file": ("a.jpg", jpeg(picture))}
    return clients.ask("POST", "images/", "adder", fields=fields)


def _ready(pk: int) -> None:
    wait_until(lambda: Image.objects.get(pk=pk).status == "ready", 120)


def _poison(service: Service, clients: Clients, wrong: list[str]) -> str:
    """A picture whose worker is killed whenever it is being described: large, so that this takes
    long enough to be seen."""
    stop = threading.Event()
    poisoned: list[int] = []
    killed = 0

    def poison() -> None:
        nonlocal killed
        claimed = Image.objects.filter(
            pk=poisoned[0],
            status="pending",
            claimed_until__gt=Now(),
            attempts__lte=MAX_ATTEMPTS,
        )
        while not stop.is_set():
            with contextlib.suppress(DatabaseError):
                worker = min(children(service.running.main_process("worker")), default=0)
                if worker and claimed.exists():
                    os.kill(worker, signal.SIGKILL)
                    killed += 1
                    wait_until(lambda: not claimed.exists(), 60)
            time.sleep(0.01)
        connection.close()

    _, body = _send(clients, photo(10_000_000, (4000, 3000)))
    poisoned.append(body["id"])
    thread = threading.Thread(target=poison)
    thread.start()
    others = [_add(clients, 10_000_001 + n)[1]["id"] for n in range(20)]
    checks.settle(SETTLED)
    stop.set()
    thread.join()
    image = Image.objects.get(pk=poisoned[0])
    if image.status != "failed" or image.failure != KILLS_WORKERS:
        wrong.append(f"The poisoned picture is {image.status} ({image.failure})")
    ready = Image.objects.filter(pk__in=others, status="ready").count()
    if ready != len(others):
        wrong.append(f"{len(others) - ready} of {len(others)} neighbours are not ready")
    return f"{killed} workers killed, then {image.status}; {ready} of {len(others)} others ready"


@contextlib.contextmanager
def _mounted(directory: Path, size: str) -> Iterator[None]:
    """A small file system in the place of the directory, with its files."""
    aside = directory.with_name("media.aside")
    directory.rename(aside)
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
    subprocess.run(["cp", "-a", f"{aside}/.", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["cp", "-au", f"{directory}/.", aside], check=True)
        subprocess.run(["umount", "-l", directory], check=True)
        directory.rmdir()
        aside.rename(directory)


def _storage_fault(
    service: Service,
    clients: Clients,
    wrong: list[str],
    begin: Callable[[Path], None],
    end: Callable[[Path], None],
) -> str:
    if os.geteuid() != 0:
        return "not run: needs root to mount a file system"
    media = service.data_dir / "media"
    used = sum(path.stat().st_blocks * 512 for path in media.rglob("*"))
    with _mounted(media, str(used + 8 * 2**20)):
        # Accepted before, described during the fault.
        os.kill(service.running.main_process("worker"), signal.SIGSTOP)
        _, before = _add(clients, time.monotonic_ns() % 10**9)
        begin(media)
        os.kill(service.running.main_process("worker"), signal.SIGCONT)
        status, body = _add(clients, time.monotonic_ns() % 10**9)
        if status != 503 or body["code"] != "storage":
            wrong.append(f"Adding was answered {status}: {body}")
        time.sleep(5)
        end(media)
        status, after = _add(clients, time.monotonic_ns() % 10**9)
        try:
            _ready(after["id"])
            checks.settle(SETTLED)
            _ready(before["id"])
        except AssertionError as error:
            wrong.append(f"Not described after a fault of the storage: {error}")
    return f"503: {body['detail']} Afterwards all is described, without a restart."


def _read_only(service: Service, clients: Clients, wrong: list[str]) -> str:
    def remount(option: str) -> Callable[[Path], None]:
        words = ["mount", "-o", f"remount,{option}"]
        return lambda media: subprocess.run([*words, str(media)], check=True) and None

    return _storage_fault(service, clients, wrong, remount("ro"), remount("rw"))


def _full_disk(service: Service, clients: Clients, wrong: list[str]) -> str:
    def fill(media: Path) -> None:
        with contextlib.suppress(OSError), (media / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    return _storage_fault(service, clients, wrong, fill, lambda media: (media / "filler").unlink())


def _lost_database(service: Service, clients: Clients, wrong: list[str]) -> str:
    """PostgreSQL is killed, and cannot start for 20 seconds."""
    control = service.data_dir.resolve() / "pg" / "global" / "pg_control"
    starter, starts = service.running.process.pid, service.starts
    connection.close()
    control.rename(control.with_name("aside"))
    for pid in service.processes()["PostgreSQL"]:
        os.kill(pid, signal.SIGKILL)
    time.sleep(2)
    status, body = _add(clients, 20_000_000)
    if status != 503 or body["code"] != "database":
        wrong.append(f"Without a database, adding was answered {status}: {body}")
    time.sleep(18)
    control.with_name("aside").rename(control)
    waited = service.wait_up(UP_AGAIN)
    connection.close()
    _ready(_add(clients, 20_000_001)[1]["id"])
    if (service.running.process.pid, service.starts) != (starter, starts):
        wrong.append("The starter was started again for the loss of the database")
    return f"503: {body['detail']} Up {waited:.1f} s after it is back, without a restart."


FAULTS: dict[str, Callable[[Service, Clients, list[str]], str]] = {
    "a picture that kills its worker": _poison,
    "media read-only": _read_only,
    "disk of media full": _full_disk,
    "PostgreSQL cannot start for 20 s": _lost_database,
}
