"""``manage.py up`` and ``manage.py postgres`` as real processes that are stopped and killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import urllib3

from imgsmlr_site.postgres.cluster import cluster_processes, main_process
from tests.factories import jpeg, photo
from tests.site.test_embedded_postgres import cluster_state, make_directory

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """That of a user who has set nothing but these."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    here = {"DATA_DIR": str(data_dir), "CLIP_PRETRAINED": "none", "DATABASE_URL": ""}
    return {**kept, **here, **more}


def processes_of(data_dir: Path) -> dict[int, dict[str, str]]:
    """Process id → environment, of the live processes that work for ``data_dir``."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        env = dict(word.split("=", 1) for word in words if "=" in word)
        if env.get("DATA_DIR") == str(data_dir):
            found[int(path.name)] = env
    return found


def command_line(pid: int) -> str:
    """Empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def settled_processes_of(data_dir: Path) -> dict[int, dict[str, str]]:
    """The same once all of them are there: none came or went for two seconds."""
    for _ in range(15):
        before = processes_of(data_dir)
        time.sleep(2)
        if processes_of(data_dir).keys() == before.keys():
            return before
    raise AssertionError("the processes never settle")


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Running:
    """One ``manage.py`` command with its output in a file."""

    def __init__(self, data_dir: Path, command: str, **env: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "test.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", command],
                cwd=ROOT,
                env=environment(data_dir, **env),
                stdout=log,
                stderr=subprocess.STDOUT,
                # As at a terminal, where Ctrl-C is not ignored.
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def main_process(self, part: str) -> int:
        """The process of a part that was started last."""
        return int(re.findall(rf"{part} started \(pid (\d+)\)", self.output)[-1])

    def wait_for(self, text: str, seconds: float = 60) -> None:
        def seen() -> bool:
            assert self.process.poll() is None, self.output
            return text in self.output

        wait_until(seen, seconds)

    def end(self, signum: int) -> int:
        """Send a signal; wait until nothing is left of the service, and return the exit code."""
        self.process.send_signal(signum)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            left = [command_line(pid) for pid in processes_of(self.data_dir)]
            pytest.fail(f"It does not end: {left}\n{self.output}")
        self.wait_gone()
        return code

    def wait_gone(self) -> None:
        def gone() -> bool:
            return not processes_of(self.data_dir) and not cluster_processes(self.data_dir / "pg")

        wait_until(gone, 15)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    directory = make_directory()
    yield directory
    for pid in processes_of(directory):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not cluster_processes(directory / "pg"), 15)
    shutil.rmtree(directory)


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

    def web_processes() -> int:
        return sum("gunicorn" in command_line(pid) for pid in processes_of(data_dir))

    # One and the two it forks, of which the first may answer before the second is there.
    wait_until(lambda: web_processes() == 3, 20)
    pids = settled_processes_of(data_dir)
    lines = [command_line(pid) for pid in pids]
    assert any("qcluster" in line for line in lines)
    web = next(env for pid, env in pids.items() if "gunicorn" in command_line(pid))
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
    assert processes_of(data_dir).keys() == pids.keys()

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
    up = Running(data_dir, "up", PORT=str(port), OPEN_API="", OPENBLAS_NUM_THREADS="3")
    up.wait_for("Ready: ")
    assert (data_dir / "pg" / "PG_VERSION").stat().st_mtime_ns == made
    assert "password" not in up.output
    web = next(e for pid, e in processes_of(data_dir).items() if "gunicorn" in command_line(pid))
    assert (web["OPEN_API"], web["OPENBLAS_NUM_THREADS"]) == ("", "3")
    assert up.end(signal.SIGKILL) == -signal.SIGKILL

    # What is killed is started again: each step of this ends with a picture that becomes ready.
    up = Running(data_dir, "up", PORT=str(port), OPEN_API="127.0.0.0/8")
    up.wait_for("Ready: ")
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
    postmaster, web = main_process(data_dir / "pg"), up.main_process("web")
    os.kill(postmaster, signal.SIGKILL)
    wait_until(lambda: main_process(data_dir / "pg") not in (0, postmaster), 20)
    describe_a_picture(site, seed=3)
    assert up.main_process("web") == web

    # The web server's main process, whose children would hold the port.
    os.kill(web, signal.SIGKILL)
    wait_until(lambda: up.main_process("web") != web, 20)
    describe_a_picture(site, seed=4)
    assert up.process.pid == starter and up.process.poll() is None

    # PostgreSQL in the middle of its own recovery, and the starter: all goes, and comes back.
    background = min(cluster_processes(data_dir / "pg") - {main_process(data_dir / "pg")})
    os.kill(background, signal.SIGKILL)
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    up = Running(data_dir, "up", PORT=str(port), OPEN_API="127.0.0.0/8")
    up.wait_for("Ready: ")
    describe_a_picture(site, seed=5)
    answer = urllib3.request("GET", f"{site}/api/v1/images/{added}/")
    assert answer.json()["status"] == "ready"
    assert up.end(signal.SIGTERM) == 0
    assert cluster_state(data_dir) == "shut down"


def children(pid: int) -> set[int]:
    """The living children of a process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.add(int(path.parent.name))
    return found


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


def test_postgres_alone_and_up_beside_it(data_dir: Path) -> None:
    """``DATABASE_URL`` leads to a server that ``up`` neither starts nor stops."""
    port = str(free_port())
    complaint = refused(data_dir, PORT=port, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert complaint.startswith("CommandError: The database of DATABASE_URL does not answer: ")
    postgres = Running(data_dir, "postgres")
    postgres.wait_for("PostgreSQL is ready: ")
    url = re.findall(r"PostgreSQL is ready: (\S+)", postgres.output)[0]
    psycopg2.connect(url).close()
    web_dir = data_dir / "web"
    web_dir.mkdir()
    up = Running(web_dir, "up", PORT=port, DATABASE_URL=url, DEBUG="1")
    up.wait_for("Ready: ")
    assert not (web_dir / "pg").exists()
    assert up.end(signal.SIGINT) == 0, up.output
    assert postgres.process.poll() is None
    assert postgres.end(signal.SIGTERM) == 0
    assert cluster_state(data_dir) == "shut down"


def test_postgres_alone_with_another_database_set(data_dir: Path) -> None:
    running = Running(data_dir, "postgres", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert running.process.wait(timeout=30) == 1
    assert "DATABASE_URL is set, so there is no embedded PostgreSQL to run" in running.output
    assert not (data_dir / "pg").exists()
