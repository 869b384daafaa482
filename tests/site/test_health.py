"""Health and metrics: true, cheap, and silent about what is nobody's business."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from gallery.items import describing
from imgsmlr_site import health
from imgsmlr_site.checks import extension_problem, version_tuple
from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.models import WorkerCluster
from imgsmlr_site.request_log import note_task
from moderation.webhooks.models import Delivery, Webhook
from tests.factories import add_pending_image, add_ready_image, photo, png
from tests.moderation.factories import make_item, make_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def queue_task(due: float, queue: str = "light") -> OrmQ:
    """A task that has been due for this many seconds; negative while a worker has it."""
    lock = timezone.now() - timedelta(seconds=due)
    return OrmQ.objects.create(key=queue, payload="x", lock=lock)


def run_cluster(queue: str, still: float, seen: float = 5) -> WorkerCluster:
    """A cluster that had its last task so many seconds ago, and wrote that ``seen`` seconds ago."""
    now = timezone.now()
    return WorkerCluster.objects.create(
        queue=queue,
        host="here",
        pid=WorkerCluster.objects.count(),
        started_at=now - timedelta(hours=1),
        seen_at=now - timedelta(seconds=seen),
        moved_at=now - timedelta(seconds=still),
    )


def test_healthz_asks_nobody(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert client.post("/healthz").status_code == 405


def test_readyz_is_open_to_probes_and_names_each_part(client: Client) -> None:
    answer = client.get("/readyz", REMOTE_ADDR="203.0.113.9")
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert "no-store" in answer["Cache-Control"]
    for part in ("status", "database", "extension", "migrations", "queue"):
        assert body[part] == "ok"
    assert (body["match_types"]["imgsmlr"], body["match_types"]["pdq"]) == ("ok", "ok")
    # The tests run without CLIP's weights: said, and no reason to be unready.
    assert body["match_types"]["clip"] == "unavailable"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_is_a_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nonexistent")
        answer = client.get("/readyz")
        connection.close()
    assert answer.status_code == 503
    assert "DATABASE_URL" in answer.json()["database"]
    assert "/nonexistent" not in answer.content.decode()
    assert client.get("/readyz").status_code == 200


def test_missing_migrations_are_a_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    MigrationRecorder.Migration.objects.filter(app="imgsmlr_site").delete()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["migrations"]


@pytest.mark.parametrize("queue", ["light", "embed", "video"])
def test_a_queue_that_nobody_serves_is_a_503(client: Client, queue: str) -> None:
    queue_task(30, queue)
    assert client.get("/readyz").status_code == 200
    queue_task(300, queue)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert queue in answer.json()["queue"]


def test_a_long_queue_that_moves_is_no_reason_to_worry(client: Client) -> None:
    queue_task(3000)
    queue_task(-100)
    run_cluster("light", still=20)
    assert client.get("/readyz").status_code == 200
    assert health.queues()[0].working == 1
    assert 2990 < health.queues()[0].oldest < 3010


@pytest.mark.parametrize(("still", "seen"), [(70, 5), (20, 40)])
def test_a_task_that_a_worker_took_with_it_is_no_work(
    client: Client, still: float, seen: float
) -> None:
    """The cluster runs and begins nothing, or does not run any more."""
    queue_task(300)
    queue_task(-100)
    run_cluster("light", still, seen)
    assert client.get("/readyz").status_code == 503


def test_work_of_one_queue_does_not_excuse_the_other(client: Client) -> None:
    queue_task(300, "embed")
    queue_task(-100, "light")
    run_cluster("light", still=0)
    assert client.get("/readyz").status_code == 503


# --- The extension ----------------------------------------------------------------------


def test_this_database_is_fit() -> None:
    assert extension_problem() is None
    assert run_checks(databases=["default"], tags=["database"]) == []


@pytest.mark.parametrize(
    ("text", "version"), [("0.8.5", (0, 8, 5)), ("0.8.10", (0, 8, 10)), ("0.9.0-dev", (0, 9, 0))]
)
def test_versions_compare_as_numbers(text: str, version: tuple[int, ...]) -> None:
    assert version_tuple(text) == version


def test_an_old_extension_is_refused_with_the_sql_to_run(client: Client) -> None:
    execute("UPDATE pg_extension SET extversion = '0.8.4' WHERE extname = 'vector'")
    (error,) = run_checks(databases=["default"], tags=["database"])
    assert "0.8.4 is too old" in error.msg
    assert "ALTER EXTENSION vector UPDATE;" in (error.hint or "")
    assert client.get("/readyz").status_code == 503


def test_a_missing_extension_is_refused_only_where_migrate_cannot_make_it() -> None:
    execute("DROP EXTENSION vector CASCADE")
    assert extension_problem() is None
    execute("CREATE ROLE plain_role")
    execute("SET ROLE plain_role")
    problem = extension_problem()
    execute("RESET ROLE")
    assert problem is not None
    assert "CREATE EXTENSION vector;" in problem[1]


# --- Metrics ----------------------------------------------------------------------------


def lines(client: Client, **extra: Any) -> dict[str, float]:
    answer = client.get("/metrics", **extra)
    assert answer.status_code == 200
    pairs = (line.rsplit(" ", 1) for line in answer.content.decode().splitlines() if line[0] != "#")
    return {name: float(value) for name, value in pairs}


def test_requests_are_counted_by_view_method_and_status(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    ok = 'http_request_duration_seconds_count{method="GET",status="200",view="echo"}'
    refused = 'http_request_duration_seconds_count{method="GET",status="401",view="echo"}'
    before = lines(client)
    client.get("/api/echo/")
    client.get("/api/echo/", REMOTE_ADDR="192.0.2.1")
    after = lines(client)
    assert after[ok] - before.get(ok, 0) == 1
    assert after[refused] - before.get(refused, 0) == 1


def test_what_clients_invent_makes_no_new_series(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    for number in range(5):
        client.generic(f"WORD{number}", f"/made/up/{number}/")
    found = [name for name in lines(client) if "made" in name or "WORD" in name]
    assert found == []
    other = 'http_request_duration_seconds_count{method="other",status="404",view="none"}'
    assert lines(client)[other] >= 5


def test_the_database_is_read_at_the_scrape(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    assert lines(client)['queue_due_tasks{queue="light"}'] == 0
    queue_task(100)
    assert lines(client)['worker_clusters{queue="light"}'] == 0
    cluster = run_cluster("light", still=0)
    found = lines(client)
    assert found['worker_clusters{queue="light"}'] == 1
    started = found['worker_cluster_start_time_seconds{queue="light"}']
    assert started == pytest.approx(cluster.started_at.timestamp(), abs=1)
    assert found['queue_due_tasks{queue="light"}'] == 1
    assert found['queue_working_tasks{queue="light"}'] == 0
    assert 95 < found['queue_oldest_due_seconds{queue="light"}'] < 110
    assert found['images{status="ready"}'] == 0


def test_the_counts_of_all_processes_are_summed(
    client: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPEN_API = LOOPBACK
    settings.PROMETHEUS_MULTIPROC_DIR = str(tmp_path)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = "from prometheus_client import Counter; Counter('made_elsewhere', 'x').inc(3)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=True)
    found = lines(client)
    assert found["made_elsewhere_total"] == 6
    assert 'queue_due_tasks{queue="light"}' in found


def test_metrics_are_for_open_networks_staff_and_keys_that_may_search(
    client: Client,
    settings: Any,
    issue: Callable[..., str],
    login: Callable[..., Client],
    user: User,
    staff: User,
) -> None:
    def status(client: Client, **extra: Any) -> int:
        return client.get("/metrics", **extra).status_code

    assert status(client) == 401
    assert status(client, headers={"x-api-key": "wrong"}) == 401
    assert status(client, headers={"authorization": f"Bearer {issue('add')}"}) == 403
    assert status(client, headers={"authorization": f"Bearer {issue('search')}"}) == 200
    assert status(login(user)) == 403
    assert status(login(staff)) == 200
    settings.OPEN_API = LOOPBACK
    assert status(client) == 200
    assert status(client, REMOTE_ADDR="192.0.2.1") == 401
    assert status(client, headers={"x-forwarded-for": "127.0.0.1"}) == 401


def test_what_workers_do_is_counted(
    client: Client, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.OPEN_API = LOOPBACK
    with django_capture_on_commit_callbacks(execute=True):
        add_ready_image()
        bad = add_pending_image(photo(1))
        Path(bad.original.path).unlink()
        describing.describe_images([bad.pk])
    with django_capture_on_commit_callbacks(execute=True):
        note_task(func=print, task={"func": "gallery.tasks.sweep", "success": False})
    found = lines(client)
    assert found['item_publish_seconds_count{kind="image"}'] == 1
    assert found['item_publish_seconds_sum{kind="image"}'] > 0
    assert found['item_failures_total{code="original_lost",kind="image"}'] == 1
    assert found['task_duration_seconds_count{outcome="failed",task="gallery.tasks.sweep"}'] == 1


def test_matches_are_counted_by_list(
    client: Client, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.OPEN_API = LOOPBACK
    data = png(photo(5))
    make_item(make_list("Odd"), ("sha256", hashlib.sha256(data).hexdigest()))
    with django_capture_on_commit_callbacks(execute=True):
        add_ready_image(data=data)
    counted = {
        name: number
        for name, number in lines(client).items()
        if name.startswith('list_matches_total{list="Odd"')
    }
    assert sum(counted.values()) >= 1


def test_messages_that_wait(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    hook = Webhook.objects.create(
        name="slow", url="https://a.test/", secret="x", events=["verdict"]
    )
    Webhook.objects.create(name="idle", url="https://b.test/", secret="x", events=["verdict"])
    for key, age in (("a", 500), ("b", 100)):
        at = timezone.now() - timedelta(seconds=age)
        Delivery.objects.create(webhook=hook, event="verdict", key=key, payload={}, created_at=at)
    Delivery.objects.filter(key="b").update(delivered_at=timezone.now())
    found = lines(client)
    assert found['webhook_waiting_messages{webhook="slow"}'] == 1
    assert 495 < found['webhook_oldest_waiting_seconds{webhook="slow"}'] < 510
    assert found['webhook_oldest_waiting_seconds{webhook="idle"}'] == 0


def test_dashboard_and_alerts_name_metrics_that_exist(client: Client, settings: Any) -> None:
    """The lines # TYPE name metrics without samples as well."""
    settings.OPEN_API = LOOPBACK
    body = client.get("/metrics").content.decode()
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
    exist = {
        name + suffix
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", body, re.MULTILINE)
        for suffix in suffixes.get(kind, ("",))
    }
    docs = Path(settings.BASE_DIR) / "docs" / "monitoring"
    rules = yaml.safe_load((docs / "alerts.yml").read_text())["groups"][0]["rules"]
    panels = json.loads((docs / "dashboard.json").read_text())["panels"]
    queries = [rule["expr"] for rule in rules]
    queries += [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) > 20
    # Prometheus makes ``up`` itself.
    assert {name for query in queries for name in metrics_of(query)} - {"up"} <= exist


def metrics_of(query: str) -> list[str]:
    """The names in a PromQL query that are no function, keyword, label or label's value."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", "", query)
    return [
        name
        for name in re.findall(r"\b[a-z_]\w*\b(?!\s*\()", bare)
        if name not in ("and", "or", "le")
    ]
