"""``manage.py up`` and ``manage.py postgres`` as real processes that are stopped and killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import urllib3

from imgsmlr_site.postgres.cluster import cluster_processes, main_process
from tests.factories import jpeg, photo
from tests.processes import children, descendants, is_running, wait_until
from tests.service import (
    ROOT,
    Running,
    command_line,
    directory_of_a_service,
    environment,
    free_port,
    processes_of,
)
from tests.site.test_embedded_postgres import cluster_state


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with directory_of_a_service() as directory:
        yield directory


def refused(data_dir: Path, **env: str) -> str:
    """The complaint of a second ``manage.py up``."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(data_dir, **env),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.strip()


@pytest.mark.slow
def test_life_of_the_service(data_dir: Path) -> None:
    port = free_port()
    site = f"http://127.0.0.1:{port}"

    # First start: everything is made, and the password is in a file.
    up = Running(data_dir, "up", PORT=str(port))
    up.wait_for(f"Ready: {site}/imgsmlr/")
    with urllib.request.urlopen(f"{site}/healthz") as answer:
        assert answer.status == 200
    # The output is no terminal, so the password is not in it.
    file = data_dir / "first_password"
    assert f"log in as 'admin' with the password in {file}" in up.output
    assert (file.stat().st_mode & 0o777, len(file.read_text().strip())) == (0o600, 16)
    assert file.read_text().strip() not in up.output

    def web_processes() -> list[dict[str, str]]:
        """Their environments."""
        running = processes_of(data_dir).items()
        return [env for pid, env in running if "gunicorn" in command_line(pid)]

    # One and the two it forks, of which the first may answer before the second is there.
    wait_until(lambda: len(web_processes()) == 3, 20)
    assert any("qcluster" in command_line(pid) for pid in processes_of(data_dir))
    web = web_processes()[0]
    assert web["OPENBLAS_NUM_THREADS"] == web["OMP_NUM_THREADS"] == "1"
    # Its output goes to a file, so it opens nothing, and writes no secret into that file.
    assert not {"OPEN_API", "FETCH_ALLOW_PRIVATE", "WEBHOOK_ALLOW_PRIVATE"} & set(web)
    assert "/enter/" not in up.output
    assert not (data_dir / "key").exists()

    # A second one gets a sentence, and starts nothing.
    complaint = refused(data_dir, PORT=str(port))
    assert complaint == (
        f"CommandError: Port {port} on 127.0.0.1 is taken: stop the program that listens there, "
        "or set PORT to another number."
    )
    complaint = refused(data_dir, PORT=str(free_port()))
    assert f"PostgreSQL in {data_dir} is already run by process {up.process.pid}" in complaint
    strangers = processes_of(data_dir).keys() - {up.process.pid, *descendants(up.process.pid)}
    assert not any(map(is_running, strangers))

    # Ctrl-C, as the terminal sends it: to the whole foreground group.
    os.killpg(up.process.pid, signal.SIGINT)
    assert up.end(signal.SIGINT) == 0, up.output
    assert cluster_state(data_dir) == "shut down"
    assert "Traceback" not in up.output
    assert up.output.index("web stopped (exit code 0)") < up.output.index(
        "database system is shut down"
    )

    # Second start: nothing is made anew, nor is there a new password.
    made = (data_dir / "pg" / "PG_VERSION").stat().st_mtime_ns
    # Other tests are no requests: workers give way to them a little only.
    open_api = {"OPEN_API": "127.0.0.0/8", "WORKER_NICE": "1"}
    up = Running(data_dir, "up", PORT=str(port), OPENBLAS_NUM_THREADS="3", **open_api)
    up.wait_for("Ready: ")
    assert (data_dir / "pg" / "PG_VERSION").stat().st_mtime_ns == made
    assert "password" not in up.output
    web = web_processes()[0]
    assert (web["OPEN_API"], web["OPENBLAS_NUM_THREADS"]) == ("127.0.0.0/8", "3")

    # What is killed is started again: each step of this ends with a picture that becomes ready.
    starter = up.process.pid
    added = describe_a_picture(site, seed=1)

    # A worker that waits for a task, and so holds the lock of the queue: the cluster is replaced.
    cluster = up.main_process("worker")
    assert os.getpriority(os.PRIO_PROCESS, cluster) > os.getpriority(
        os.PRIO_PROCESS, up.main_process("web")
    )
    worker = min(children(cluster))
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: up.main_process("worker") != cluster, 20)
    assert f"Process {worker} ended with code -9: the cluster ends" in up.output
    assert children(cluster) == set()
    describe_a_picture(site, seed=2)

    # PostgreSQL. Until it is back, the web server says so.
    postmaster, web_process = main_process(data_dir / "pg"), up.main_process("web")
    os.kill(postmaster, signal.SIGKILL)
    wait_until(lambda: main_process(data_dir / "pg") not in (0, postmaster), 20)
    describe_a_picture(site, seed=3)
    assert up.main_process("web") == web_process

    # The web server's main process, whose children would hold the port.
    os.kill(web_process, signal.SIGKILL)
    wait_until(lambda: up.main_process("web") != web_process, 20)
    describe_a_picture(site, seed=4)
    assert up.process.pid == starter and up.process.poll() is None

    # PostgreSQL in the middle of its own recovery, and the starter: all goes, and comes back.
    background = min(cluster_processes(data_dir / "pg") - {main_process(data_dir / "pg")})
    os.kill(background, signal.SIGKILL)
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    up = Running(data_dir, "up", PORT=str(port), **open_api)
    up.wait_for("Ready: ")
    describe_a_picture(site, seed=5)
    answer = urllib3.request("GET", f"{site}/api/v1/images/{added}/")
    assert answer.json()["status"] == "ready"
    assert up.end(signal.SIGTERM) == 0
    assert cluster_state(data_dir) == "shut down"


def describe_a_picture(site: str, seed: int) -> int:
    """Add one, wait until a worker has published it, and return its id."""
    data = jpeg(photo(seed))

    def sent() -> bool:
        nonlocal answer
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request(
                "POST", f"{site}/api/v1/images/", fields={"file": ("a.jpg", data)}, retries=False
            )
            if answer.status == 503:
                assert answer.json()["detail"].startswith("The database does not answer now")
            # 409: an earlier attempt was cut off after it was stored.
            return answer.status in (201, 202, 409)
        return False

    answer: Any = None
    wait_until(sent, 20)
    body = answer.json()
    added: int = body.get("id") or body["existing_id"]

    def ready() -> bool:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request("GET", f"{site}/api/v1/images/{added}/", retries=False)
            return answer.status == 200 and answer.json()["status"] == "ready"
        return False

    wait_until(ready, 20)
    return added


@pytest.mark.slow
def test_postgres_alone(data_dir: Path) -> None:
    postgres = Running(data_dir, "postgres")
    postgres.wait_for("PostgreSQL is ready: ")
    url = re.findall(r"PostgreSQL is ready: (\S+)", postgres.output)[0]
    psycopg2.connect(url).close()
    assert postgres.end(signal.SIGTERM) == 0
    assert cluster_state(data_dir) == "shut down"


@pytest.mark.slow
def test_a_database_that_does_not_answer(data_dir: Path) -> None:
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    complaint = refused(data_dir, PORT=str(free_port()), DATABASE_URL=nobody)
    assert complaint.startswith("CommandError: The database of DATABASE_URL does not answer: ")


@pytest.mark.slow
def test_postgres_alone_with_another_database_set(data_dir: Path) -> None:
    running = Running(data_dir, "postgres", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert running.process.wait(timeout=30) == 1
    assert "DATABASE_URL is set, so there is no embedded PostgreSQL to run" in running.output
    assert not (data_dir / "pg").exists()
