"""The cost of screening: checks against a million hashes over HTTP, and of each added picture.

The lists are in the database of a running service, so the figures are those of a client.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import fileserver, hash_index, pictures, report, service, speed
from benchmarks.client import Measured
from benchmarks.speed import Target

HASHES = 1_000_000
PICTURES = 1000
"""Items with a picture; they are compared by their vectors."""

CHECK = "/api/v1/moderation/check/"

PATIENCE = 600.0
"""Maximum seconds to wait for the workers' scans."""


@dataclass(frozen=True)
class Filled:
    """Seconds to store the hashes, seconds to write their index, and its size in MB."""

    stored: float
    indexed: float
    megabytes: float


def issue_key() -> str:
    from imgsmlr_site.models import ApiKey

    name = f"benchmark {time.time_ns()}"
    return ApiKey.issue(name=name, scopes=["search", "add", "check"])[1]


def make_list() -> int:
    """Create a list that blocks, with the default thresholds. Return its id."""
    from moderation.access.permissions import Actor
    from moderation.lists import list_writes

    row = list_writes.create_list(
        by=Actor.machine("benchmark"), name=f"benchmark {time.time_ns()}", action="block"
    )
    return row.pk


def fill_hashes(list_id: int, count: int) -> Filled:
    """Store hashes that match no picture, and write the index file."""
    from django.db import connection

    from moderation.lists import banned_hashes

    started = time.perf_counter()
    with connection.cursor() as cursor:
        # One item per thousand hashes, because only the search for hashes is measured.
        cursor.execute(
            "WITH items AS (INSERT INTO moderation_banneditem (list_id, media, source, source_id, "
            "state, retired_because, opinion, feedback, category, severity, owner, tags, note, "
            "picture, added_by, created_at) SELECT %(list)s, 'image', '', '', 'active', '', "
            "'none', 'none', '', '', '', '{}', '', '', 'benchmark', now() "
            "FROM generate_series(1, %(items)s) RETURNING id) "
            "INSERT INTO moderation_bannedhash (item_id, kind, value, quality) "
            "SELECT id, 'pdq', encode(sha256(int8send(id * 1000 + n)), 'hex'), 90 "
            "FROM items, generate_series(1, 1000) AS n",
            {"list": list_id, "items": count // 1000},
        )
    stored = time.perf_counter() - started
    started = time.perf_counter()
    banned_hashes.rows.refresh(always=True)
    indexed = time.perf_counter() - started
    return Filled(stored, indexed, banned_hashes.rows.path().stat().st_size / 1e6)


def fill_pictures(list_id: int, count: int) -> None:
    """Empty the gallery and add items with one picture each to the list, as an upload of many files
    does. The workers then scan the gallery for them."""
    from moderation.access.permissions import Actor
    from moderation.lists import item_adding, item_reading

    speed.forget_images()
    made = [item_reading.of_bytes(pictures.jpeg(10_000 + number), {}) for number in range(count)]
    by = Actor.machine("benchmark")
    added = item_adding.add(by=by, list_id=list_id, made=made, reason="")
    if added.refused:
        raise RuntimeError(str(next(iter(added.refused.values()))))


def wait_for_scans() -> None:
    """Wait for the workers' scans. Raise ``RuntimeError`` after ``PATIENCE`` seconds."""
    from moderation.lists.models import RetroScan
    from moderation.pipeline import rescan

    until = time.monotonic() + PATIENCE
    while RetroScan.objects.filter(state__in=rescan.UNFINISHED).exists():
        if time.monotonic() > until:
            raise RuntimeError("no worker has done the scans that the items asked for")
        time.sleep(0.2)


def check(target: Target, urls: Sequence[str], clients: int) -> Measured:
    load = target.load(CHECK, [{"url": url} for url in urls])
    return speed.run_load(target, load, clients)


def check_hashes(target: Target, count: int, clients: int) -> Measured:
    random = np.random.default_rng(9)
    bodies = [{"hash": random.bytes(32).hex(), "hash_type": "pdq"} for _ in range(count)]
    return speed.run_load(target, target.load(CHECK, bodies), clients)


def add(target: Target, urls: Sequence[str]) -> Measured:
    """Add every picture by its URL with one client. Answers come after publishing."""
    return speed.add(target, "v1", urls, clients=1)


def bulk_costs(files: Sequence[bytes], rounds: int) -> list[list[object]]:
    """Return the cost of moderation in ``manage.py add_images`` if no list is enabled: pictures per
    second with all of it, without the audit, and without audit and gate. They run in turns; the
    best of each counts."""
    best = dict.fromkeys(MODERATED, 0.0)
    with tempfile.TemporaryDirectory() as directory:
        places = [Path(directory, f"{number}.jpg") for number in range(len(files))]
        for place, data in zip(places, files, strict=True):
            place.write_bytes(data)
        for _ in range(rounds):
            for name, less in MODERATED.items():
                with less():
                    best[name] = max(best[name], speed.bulk(places))
    least = best["without the gate too"]
    return [[name, rate, f"{least / rate - 1:.0%}"] for name, rate in best.items()]


@contextmanager
def without_audit() -> Iterator[None]:
    """Disconnect the receivers of change signals."""
    from gallery.items.signals import changed
    from moderation import receivers

    heard = (receivers.record_change, receivers.enqueue_webhooks)
    for receiver in heard:
        changed.disconnect(receiver)
    try:
        yield
    finally:
        for receiver in heard:
            changed.connect(receiver)


@contextmanager
def without_moderation() -> Iterator[None]:
    """Disconnect the receivers and remove the publishing gates."""
    from django.conf import settings

    gates, settings.PUBLISHING_GATES = settings.PUBLISHING_GATES, []
    try:
        with without_audit():
            yield
    finally:
        settings.PUBLISHING_GATES = gates


MODERATED: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "as it is": nullcontext,
    "without the audit": without_audit,
    "without the gate too": without_moderation,
}
"""Name of a variant of bulk adding → what is switched off."""


def memory(pid: int) -> float:
    """Return the MB of the web processes, counting shared memory once."""
    return service.memory(pid).get("gunicorn", (0.0, 0.0))[0]


def run(started: service.Service, quick: bool, command: str) -> None:
    count, hashes, items = (60, 100_000, 200) if quick else (200, HASHES, PICTURES)
    files = pictures.jpegs(count)
    target = Target(started.host, started.port, issue_key(), started.pid)
    with fileserver.serving(files) as urls:
        speed.warm_up(target, urls)
        bulk = bulk_costs(files if quick else pictures.jpegs(), rounds=2 if quick else 4)
        costs = [["no list", *_row(add(target, urls))]]
        list_id = make_list()
        filled = fill_hashes(list_id, hashes)
        before = memory(started.pid)
        check(target, urls[: speed.WARM_UP], 8)
        after = memory(started.pid)
        costs.append([f"{hashes:,} hashes", *_row(add(target, urls))])
        asked = [_asked("hash", n, check_hashes(target, count, n)) for n in (1, 4)]
        asked += [_asked("picture by url", n, check(target, urls, n)) for n in (1, 4)]
        fill_pictures(list_id, items)
        wait_for_scans()
        check(target, urls[: speed.WARM_UP], 8)
        costs.append([f"the same, {items:,} pictures", *_row(add(target, urls))])
        asked += [
            _asked(f"picture by url, also {items:,} pictures", n, check(target, urls, n))
            for n in (1, 4)
        ]
    body = "\n\n".join(
        [
            hash_index.run(quick=quick),
            f"The same over HTTP: one list with {hashes:,} hashes, stored in {filled.stored:.0f} s "
            f"and indexed in {filled.indexed:.1f} s ({filled.megabytes:.0f} MB, mapped by all "
            f"processes); the web processes took {after - before:.0f} MB more from the first "
            f"check on, what they share counted once. {count} pictures of the section on speed, "
            "none of them on the list. A picture is asked about in all eight turns; with items "
            "that have pictures its learned vectors and local features are made and compared, too.",
            report.table(
                ["check of a", "clients", "per second", "p50 ms", "p95 ms", "CPU ms"], asked
            ),
            "Adding the same pictures by v1, one client, described by all that is available and "
            "published when it is answered:",
            report.table(["lists", "per second", "p50 ms", "p95 ms", "CPU ms"], costs),
            "Adding them by `manage.py add_images`, no list enabled; all cores prepare "
            "them and one stores them:",
            report.table(["moderation", "pictures per second", "costs"], bulk),
            "Each row does less than the one above it: where it is slower all the same, runs "
            "differ by more than what was left out costs.",
        ]
    )
    print(body)
    report.write("filter", "The filter", command, body)


def _row(measured: Measured) -> list[object]:
    print(f"{measured.rate:.1f}/s", flush=True)
    return [measured.rate, measured.p50, measured.p95, measured.cpu_ms]


def _asked(what: str, clients: int, measured: Measured) -> list[object]:
    print(f"{what}, {clients} clients: {measured.rate:.1f}/s", flush=True)
    return [what, clients, measured.rate, measured.p50, measured.p95, measured.cpu_ms]
