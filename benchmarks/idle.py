"""What a service costs that has nothing to do, and how soon its workers begin a task then."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime

from benchmarks import pictures, report, service

SETTLES, LASTS, QUICK = 60, 300, 120
"""Seconds before the first figure, and for which it is looked at."""
ADDED = 20
PAUSE = 5.0
"""Seconds between two pictures: longer than a worker keeps its connection."""
BEFORE = {"processes": 39, "PSS, MB": 781, "CPU seconds a minute": 3.2}
"""Of the version before docs/adr/0031-light-when-idle.md."""
TARGETS = {"processes": 22, "PSS, MB": 450, "CPU seconds a minute": 0.7}
NAMES = {
    "gunicorn": "web",
    "qcluster": "workers",
    "postgres": "PostgreSQL",
    "supervisor": "starter",
}


def run(started: service.Service, quick: bool, command: str) -> None:
    lasts = QUICK if quick else LASTS
    # This process is no part of the service, nor is its connection.
    _forget_connection()
    time.sleep(SETTLES)
    cpu, begin = _cpu(started.pid), time.monotonic()
    counts = []
    while time.monotonic() < begin + lasts:
        counts.append({name: len(ids) for name, ids in service.processes(started.pid).items()})
        time.sleep(1)
    minutes = (time.monotonic() - begin) / 60
    spent = {name: (ticks - cpu[name]) / minutes for name, ticks in _cpu(started.pid).items()}
    memory = service.memory(started.pid)
    usual = {name: statistics.median(count[name] for count in counts) for name in NAMES}
    most = max(sum(count.values()) for count in counts)
    found = {
        "processes": statistics.median(sum(count.values()) for count in counts),
        "PSS, MB": sum(pss for pss, _ in memory.values()),
        "CPU seconds a minute": sum(spent.values()),
    }
    delays = sorted(_delay(data) for data in pictures.jpegs(ADDED))
    rows = [
        [NAMES[name], f"{usual[name]:.0f}", memory[name][0], f"{spent[name]:.2f}"] for name in NAMES
    ]
    body = "\n\n".join(
        [
            f"From {SETTLES} s after the first start on for {lasts} s, without CLIP and requests. "
            "Processes: the median of a look each second; shared memory counts once.",
            report.table(["processes of", "number", "PSS, MB", "CPU s a minute"], rows),
            report.table(
                ["in all", "before", "now", "target"],
                [
                    [name, f"{BEFORE[name]:g}", f"{value:.3g}", f"≤ {TARGETS[name]:g}"]
                    for name, value in found.items()
                ],
            ),
            f"At most {most} processes: a worker with a task has a connection, and decoders run. "
            f"{ADDED} pictures, one each {PAUSE:g} s: from the commit to the claim that begins "
            f"the description {statistics.median(delays):.3f} s (median), at most "
            f"{delays[-1]:.3f} s (target: 0.2 s).",
        ]
    )
    print(body)
    report.write("idle", "Idle", command, body)
    _forget_connection()


def _cpu(pid: int) -> dict[str, float]:
    """CPU seconds by name, those of ended children with their parent."""
    found = {}
    for name, ids in service.processes(pid).items():
        found[name] = sum(service.own_cpu_seconds(process) for process in ids)
    return found


def _delay(data: bytes) -> float:
    """Add a picture, and return the seconds from its commit to its claim by a worker."""
    from django.conf import settings
    from django.db import transaction

    from gallery.items import adding
    from gallery.items.models import Image

    time.sleep(PAUSE)
    with transaction.atomic():
        image = adding.add_image(data=data, by="benchmark")
    committed = datetime.now(UTC)
    while True:
        row = Image.objects.get(pk=image.pk)
        if row.claimed_until is not None:
            lease = 2 * settings.TASK_TIMEOUT
            return row.claimed_until.timestamp() - lease - committed.timestamp()
        if row.status != "pending":
            raise RuntimeError("The claim was not seen.")


def _forget_connection() -> None:
    from django.db import connections

    connections.close_all()
