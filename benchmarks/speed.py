"""How many pictures per second are added and searched, and the lower bound of their cost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import client, service
from benchmarks.client import Load, Measured

SEARCH = {"legacy": "/imgsmlr/search", "v1": "/api/v1/images/search/"}
ADD = {"legacy": "/imgsmlr/mgr/add", "v1": "/api/v1/images/?wait=30"}
MATCH_TYPE = {"legacy": "matchType", "v1": "match_type"}
THRESHOLD = {"imgsmlr": 1.0, "pdq": 31}
WARM_UP = 48
"""Pictures added and searched before the measurement: a process's first requests import modules and
connect to the database."""


@dataclass(frozen=True)
class Target:
    """A running service, its database in this process's Django, and a key for it.

    ``key``: "" for a server that needs none. ``pid``: the process that started it, if CPU time is
    to be measured.
    """

    host: str
    port: int
    key: str
    pid: int | None = None

    def load(self, path: str, bodies: Sequence[dict[str, Any]]) -> Load:
        """Return one POST for each body."""
        encoded = [json.dumps(body).encode() for body in bodies]
        headers = {"X-API-Key": self.key} if self.key else {}
        return Load(self.host, self.port, path, headers, encoded)


def issue_key() -> str:
    from imgsmlr_site.models import ApiKey

    return ApiKey.issue(name=f"benchmark {time.time_ns()}", scopes=["search", "add"])[1]


def forget_images() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE gallery_image CASCADE")


def add(target: Target, api: str, urls: Sequence[str], clients: int) -> Measured:
    load = target.load(ADD[api], [{"url": url} for url in urls])
    forget_images()
    measured = run_load(target, load, clients)
    require_ready(len(urls))
    return measured


def warm_up(target: Target, urls: Sequence[str]) -> None:
    """Let every thread of the service run everything once."""
    for api in ADD:
        add(target, api, urls[:WARM_UP], clients=8)
        for match_type in THRESHOLD:
            search(target, api, match_type, urls[:WARM_UP], clients=8)


def add_queued(target: Target, urls: Sequence[str], clients: int) -> float:
    """Return pictures per second if v1 queues them, measured until the last one is visible."""
    from gallery.items.models import Image

    forget_images()
    load = target.load("/api/v1/images/", [{"url": url} for url in urls])
    started = time.perf_counter()
    client.run(load, clients)
    while Image.objects.ready().count() < len(urls):
        time.sleep(0.01)
    return len(urls) / (time.perf_counter() - started)


def search(
    target: Target, api: str, match_type: str, urls: Sequence[str], clients: int
) -> Measured:
    asked = {MATCH_TYPE[api]: match_type, "limit": 20, "threshold": THRESHOLD[match_type]}
    load = target.load(SEARCH[api], [{"url": url, **asked} for url in urls])
    return run_load(target, load, clients)


def bulk(places: Sequence[Path | str], workers: int | None = None) -> float:
    """Return pictures per second of ``manage.py add_images`` from files or links."""
    from gallery.items.import_sources import Source
    from gallery.items.importing import import_images

    forget_images()
    sources = [
        Source(str(place), place, {"url": place} if isinstance(place, str) else {})
        for place in places
    ]
    started = time.perf_counter()
    cores = len(os.sched_getaffinity(0))
    outcomes = list(import_images(sources=sources, by="benchmark", workers=workers or cores))
    elapsed = time.perf_counter() - started
    if any(outcome.kind != "added" for outcome in outcomes):
        raise RuntimeError(str(next(o for o in outcomes if o.kind != "added")))
    return len(places) / elapsed


def run_load(target: Target, load: Load, clients: int) -> Measured:
    if target.pid is None:
        return client.run(load, clients)
    before = service.cpu_seconds(target.pid)
    measured = client.run(load, clients)
    used = service.cpu_seconds(target.pid) - before
    return replace(measured, cpu_ms=1000 * used / len(load.bodies))


def require_ready(count: int) -> None:
    """Fail unless that many images can be searched."""
    from gallery.items.models import Image

    ready = Image.objects.ready().count()
    if ready != count:
        raise RuntimeError(f"{ready} of {count} pictures are ready")


def floor(pictures: Sequence[bytes]) -> dict[str, float]:
    """Return pictures per second of the parts in one process: decoding, describing, the SQL."""
    from gallery.imaging import decoding, descriptors
    from gallery.items import conf
    from gallery.search.nearest import nearest_images

    limits = conf.limits()
    decoded = []
    rates = {
        "decode": _rate(
            lambda: decoded.extend(decoding.decode(p, limits) for p in pictures), len(pictures)
        )
    }
    imgsmlr, pdq = descriptors.get("imgsmlr"), descriptors.get("pdq")
    columns: list[Any] = []
    rates["decode + imgsmlr"] = _rate(
        lambda: columns.extend(imgsmlr.describe([decoding.decode(p, limits)])[0] for p in pictures),
        len(pictures),
    )
    rates["decode + imgsmlr + pdq + thumbnail"] = _rate(
        lambda: [_describe_all(decoding.decode(p, limits), (imgsmlr, pdq)) for p in pictures],
        len(pictures),
    )
    rates["SQL of an imgsmlr search"] = _rate(
        lambda: [
            nearest_images("imgsmlr", imgsmlr.version, values, threshold=1.0, limit=20)
            for values in columns
        ],
        len(columns),
    )
    return rates


def _describe_all(picture: Any, kinds: Sequence[Any]) -> None:
    for kind in kinds:
        kind.describe([picture])
    picture.thumbnail(320)


def _rate(work: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def best(times: int, measure: Callable[..., Measured], *arguments: object) -> Measured:
    """Return the fastest of several runs, because other programs can only slow a run down."""
    return max((measure(*arguments) for _ in range(times)), key=lambda measured: measured.rate)


def mean_kilobytes(pictures: Sequence[bytes]) -> float:
    return float(np.mean([len(picture) for picture in pictures])) / 1024
