"""A cluster of workers as a process, with real tasks. ``test_up.py`` kills processes of the whole
service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from django_q.tasks import async_task

from tests.moderation.factories import make_item, make_list
from tests.processes import children, wait_until
from tests.service import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = """
from django_q.conf import Conf
from imgsmlr_site import clusters, worker_cluster
# Only what it is told of makes it move.
worker_cluster.TICK, worker_cluster.HANGS_AFTER = 3600.0, 0
{change}
Conf.RECYCLE = 2
clusters.run(["{name}"])
"""


@contextmanager
def cluster(name: str, change: str = "") -> Iterator[subprocess.Popen[str]]:
    """``change``: a line of Python that it runs before."""
    Schedule.objects.update(next_run=timezone.now() + timedelta(days=1))
    here = connection.settings_dict
    url = f"postgresql://imgsmlr@/{here['NAME']}?host={quote(here['HOST'])}&port={here['PORT']}"
    process = subprocess.Popen(
        [
            sys.executable,
            "manage.py",
            "shell",
            "--no-imports",
            "-c",
            PROGRAM.format(name=name, change=change),
        ],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "WORKER_NICE": "1", "Q_LISTS_WORKERS": "2"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(_connected, 60)
        yield process
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: not _connected(), 20)


def _connected() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
        return count > 0


def leave(file: Path, cluster: str = "light", seconds: float = 0.0) -> None:
    """Queue a task that makes a file."""
    words = ["sh", "-c", f"sleep {seconds}; touch {file}"]
    async_task("subprocess.check_call", words, cluster=cluster)


@pytest.mark.slow
def test_it_is_told_of_tasks_also_after_its_connection_was_lost(tmp_path: Path) -> None:
    with cluster("light") as process:
        leave(tmp_path / "first")
        wait_until((tmp_path / "first").exists, 20)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        leave(tmp_path / "second")
        wait_until((tmp_path / "second").exists, 20)
        wait_until(lambda: not OrmQ.objects.exists(), 20)
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.slow
def test_no_task_is_lost_when_workers_are_replaced(tmp_path: Path) -> None:
    """Each does two tasks, and may get a third one just before it ends."""
    with cluster("light") as process:
        files = [tmp_path / str(number) for number in range(7)]
        for file in files:
            leave(file)
        wait_until(lambda: all(file.exists() for file in files), 30)
        wait_until(lambda: not OrmQ.objects.exists(), 20)
        assert process.poll() is None
        assert len(children(process.pid)) == 1


@pytest.mark.slow
def test_each_host_keeps_an_index_of_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a task of its own: one of the queue would be taken by any host."""
    item = make_item(make_list())
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO moderation_bannedhash (item_id, kind, value) "
            "SELECT %s, 'pdq', md5(n::text) || md5((-n)::text) FROM generate_series(1, 5001) n",
            [item.pk],
        )
    at_once = "worker_cluster.OWN_FIRST = 0.0"
    for host in (tmp_path / "a", tmp_path / "b"):
        monkeypatch.setenv("DATA_DIR", str(host))
        with cluster("lists", at_once):
            wait_until(lambda host=host: any((host / "hashes").glob("*.pdq")), 30)
            assert not OrmQ.objects.exists()
    assert not Task.objects.exists()  # none failed


@pytest.mark.slow
def test_a_task_that_takes_too_long_or_fails_is_kept_as_a_failure(tmp_path: Path) -> None:
    with cluster("light") as process:
        async_task("time.sleep", 60, timeout=1)
        async_task("os.remove", str(tmp_path / "nothing"))
        leave(tmp_path / "next")
        wait_until((tmp_path / "next").exists, 30)
        wait_until(lambda: Task.objects.count() == 2, 20)
        slow, failed = Task.objects.order_by("started")
        assert "exceeded maximum timeout value" in slow.result
        assert "No such file" in failed.result
        wait_until(lambda: OrmQ.objects.count() == 2, 20)
        # They are tried again, but not at once.
        assert OrmQ.objects.filter(lock__gt=timezone.now()).count() == 2
        assert process.poll() is None


@pytest.mark.slow
def test_when_a_worker_is_lost_the_others_finish_their_tasks(tmp_path: Path) -> None:
    with cluster("lists") as process:
        leave(tmp_path / "done", cluster="lists", seconds=2)
        wait_until(lambda: any(map(children, children(process.pid))), 20)
        busy = next(pid for pid in children(process.pid) if children(pid))
        (idle,) = children(process.pid) - {busy}
        os.kill(idle, signal.SIGKILL)
        assert process.wait(20) == 1
        assert (tmp_path / "done").exists()
        assert not OrmQ.objects.exists()
        assert f"Process {idle} ended with code -9: the cluster ends" in process.communicate()[1]


@pytest.mark.slow
def test_tasks_of_a_cluster_are_kept_while_it_runs_and_free_soon_after_it_was_killed(
    tmp_path: Path,
) -> None:
    """Its queue gives a failed task back after three hours only."""
    change = "worker_cluster.TICK, worker_cluster.LOOK_EVERY, worker_cluster.HELD = 0.5, 0.5, 3"
    runs, go = tmp_path / "runs", tmp_path / "go"
    words = ["sh", "-c", f"echo >> {runs}; while ! test -e {go}; do sleep 0.1; done"]
    async_task("subprocess.check_call", words, cluster="lists")
    async_task("os.remove", str(tmp_path / "nothing"), cluster="lists")
    with cluster("lists", change) as process:
        wait_until(runs.exists, 20)
        taken = OrmQ.objects.order_by("id")[0].lock
        # Beyond the time for which it was taken, with a free worker that could take it again.
        wait_until(lambda: OrmQ.objects.order_by("id")[0].lock > taken + timedelta(seconds=4), 30)
        kept, failed = OrmQ.objects.order_by("id")
        assert runs.read_text() == "\n" and kept.lock < timezone.now() + timedelta(seconds=4)
        assert failed.lock > timezone.now() + timedelta(hours=2)
        process.kill()
    go.touch()
    with cluster("lists", change):
        wait_until(lambda: OrmQ.objects.count() == 1, 30)
        assert runs.read_text() == "\n\n"
