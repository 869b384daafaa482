"""The moderators' console with 50,000 cases: pages over HTTP, decisions in a browser and in bulk.

The cases share a thousand stored pictures, so that pages load real pictures.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import pictures, report, service, speed

CASES, QUICK = 50_000, 5_000
PICTURES = 1_000
BULK = 1_000
"""Cases decided together: the maximum of one decision."""

REQUESTS = 40
DECISIONS = 40
"""Number of decisions in the browser."""

CONSOLE = "/admin/moderation/console/"
WARM_UP = 3

_CASES = """
INSERT INTO moderation_reviewcase (state, origin, image_id, verdict, severity, confidence,
    two_person, held, cluster, sampling_weight, evidence, picture, created_at, decided_at,
    legal_hold, legal_hold_reason)
SELECT CASE WHEN n %% 4 = 0 THEN 'confirmed' WHEN n %% 4 = 1 THEN 'dismissed' ELSE 'open' END,
    'upload', (%(images)s::bigint[])[1 + n %% %(pictures)s], 'review', 1 + n %% 3,
    (n * 7919 %% 1000) / 1000.0, false, false, md5((n / 2)::text) || md5((n / 2)::text), 1,
    jsonb_build_object('sha256', md5(n::text) || md5(n::text), 'data_id', 'upload ' || n), '',
    now() - n * interval '13 seconds',
    CASE WHEN n %% 4 < 2 THEN now() - n * interval '9 seconds' END,
    false, ''
FROM generate_series(1, %(count)s) n
"""
_SHOWN = """before => {
    const article = document.querySelector("article[data-case]");
    const picture = article?.querySelector('[data-pane="subject"] img');
    return article?.dataset.case !== before && picture?.complete && picture.naturalWidth > 0;
}"""
_MATCHES = """
INSERT INTO moderation_casematch (case_id, image_id, list_id, item_id, sha256, list_name,
    list_version, source, match_type, distance, threshold, observe, quality, verdict, created_at,
    edit)
SELECT id, image_id, %(list)s, %(item)s, md5(id::text) || md5(id::text), 'list', 1, '',
    CASE WHEN id %% 3 = 0 THEN 'copy' ELSE 'pdq' END, id %% 31, 31, 52, 90, 'review', created_at,
    ''
FROM moderation_reviewcase
"""


@dataclass(frozen=True)
class Client:
    host: str
    port: int
    cookie: str

    def seconds(self, path: str) -> float:
        """Return the seconds to the last byte. Raise ``RuntimeError`` on an error status."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        started = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        body = answer.read()
        taken = time.perf_counter() - started
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return taken


def run(started: service.Service, quick: bool, command: str) -> None:
    count = QUICK if quick else CASES
    item = fill(count, PICTURES)
    somebody = lead()
    cookie = session(somebody)
    client = Client(started.host, started.port, cookie)
    shown = pages(client, item.list_id, count, REQUESTS)
    with _chromium() as browser:
        address = f"http://{started.host}:{started.port}"
        nexts = next_cases(browser, address, cookie, DECISIONS)
    decided, undone = bulk(somebody, BULK)
    body = "\n\n".join(
        [
            f"{count:,} cases, half of them undecided, two of a cluster, each with one match and "
            f"one of {PICTURES:,} pictures. {REQUESTS} requests a row, one after another.",
            report.table(["page", "p50 ms", "p95 ms", "target: p95 ms"], shown),
            f"{DECISIONS} decisions by key in a browser, from the key to the next case on the "
            f"screen: p50 {_ms(nexts, 50):.0f} ms, p95 {_ms(nexts, 95):.0f} ms (target 300). "
            f"{BULK:,} cases decided at once: {decided:.1f} s, and undone: {undone:.1f} s "
            "(target 5).",
        ]
    )
    print(body)
    report.write("console", "The console", command, body)


def fill(count: int, images: int) -> Any:
    """Create the cases for that many pictures. Return the item that all of them match."""
    from django.db import connection

    from gallery.items.models import Image
    from moderation.access.permissions import Actor
    from moderation.lists import item_adding, item_reading, list_writes
    from moderation.lists.models import BannedList

    with tempfile.TemporaryDirectory() as directory:
        places = [Path(directory, f"{number}.jpg") for number in range(images)]
        for number, place in enumerate(places):
            place.write_bytes(pictures.jpeg(number))
        speed.bulk(places)
    by = Actor.machine("benchmark")
    name = f"benchmark {time.time_ns()}"
    row = list_writes.create_list(by=by, name=name, action="review")
    made = [item_reading.of_bytes(pictures.jpeg(20_000), {})]
    item_adding.add(by=by, list_id=row.pk, made=made, reason="")
    item = BannedList.objects.get(pk=row.pk).items.get()
    stored = list(Image.objects.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_CASES, {"images": stored, "pictures": len(stored), "count": count})
        cursor.execute(_MATCHES, {"list": row.pk, "item": item.pk})
        cursor.execute("VACUUM ANALYZE moderation_reviewcase, moderation_casematch")
    return item


def lead() -> Any:
    """Return a user who may decide, undo and see thresholds."""
    from django.contrib.auth.models import Group, User

    user = User.objects.create_user(f"lead{time.time_ns()}", is_staff=True)
    user.groups.add(Group.objects.get(name="lead"))
    return user


def session(user: Any) -> str:
    from django.conf import settings
    from django.test import Client as TestClient

    client = TestClient()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def pages(client: Client, list_id: int, count: int, requests: int) -> list[list[object]]:
    """Return a row for each page: its name, p50 and p95 in ms, and the target."""
    deep = 1 + count // 24 // 8
    asked = {
        "queue": "",
        "queue, of one list": f"?list={list_id}",
        "queue, by a match type": "?match_type=copy",
        "queue, by a match type that nothing has": "?match_type=clip",
        "queue, decided": "?status=decided",
        "queue, confirmed": "?status=confirmed",
        f"queue, page {deep}": f"?page={deep}",
        "grid": "grid/",
        "thresholds of a list": f"thresholds/{list_id}/pdq/",
    }
    rows: list[list[object]] = []
    for name, path in asked.items():
        for _ in range(WARM_UP):
            client.seconds(f"{CONSOLE}{path}")
        times = [client.seconds(f"{CONSOLE}{path}") for _ in range(requests)]
        target = 300 if name.startswith("queue") else "–"
        rows.append([name, _ms(times, 50), _ms(times, 95), target])
        print(f"{name}: p95 {_ms(times, 95):.0f} ms", flush=True)
    return rows


def _ms(seconds: Sequence[float], percentile: float) -> float:
    return float(np.percentile(seconds, percentile)) * 1000


def next_cases(browser: Any, address: str, cookie: str, decisions: int) -> list[float]:
    """Return the seconds from the decision key until the next case's picture is visible."""
    name, _, value = cookie.partition("=")
    context = browser.new_context()
    context.add_cookies([{"name": name, "value": value, "url": address}])
    page = context.new_page()
    page.goto(f"{address}{CONSOLE}")
    page.locator("[data-next]").click()
    page.wait_for_function(_SHOWN, arg="")
    taken = []
    for _ in range(WARM_UP + decisions):
        page.wait_for_function("document.documentElement.dataset.keys === 'bound'")
        shown = page.locator("article[data-case]").get_attribute("data-case")
        started = time.perf_counter()
        page.keyboard.press("d")
        page.wait_for_function(_SHOWN, arg=shown)
        taken.append(time.perf_counter() - started)
    context.close()
    return taken[WARM_UP:]


@contextmanager
def _chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import BROWSERS

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        path = next(path for path in BROWSERS if path.exists())
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


def bulk(user: Any, count: int) -> tuple[float, float]:
    """Return the seconds to decide ``count`` cases and to undo that, as the page does both."""
    from moderation.access.permissions import Actor
    from moderation.cases import deciding, undoing
    from moderation.cases.models import ReviewCase

    by = Actor.person(user)
    chosen = list(ReviewCase.objects.open().values_list("pk", flat=True)[:count])
    started = time.perf_counter()
    batch = deciding.decide(by=by, case_ids=chosen, verb="confirm")
    decided = time.perf_counter() - started
    started = time.perf_counter()
    undoing.undo_batch(by=by, batch_id=batch.pk, reason="a benchmark")
    return decided, time.perf_counter() - started
