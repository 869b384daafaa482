"""The service to be killed, and the one who starts it again, as systemd would."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

import urllib3

from imgsmlr_site.postgres.cluster import cluster_processes, main_process
from tests.processes import children, wait_until
from tests.service import Running, command_line, processes_of

RESTART_SECONDS = 2
"""``RestartSec`` of docs/operations.md."""
KINDS = (
    *("starter", "PostgreSQL", "process of PostgreSQL", "web", "process of web"),
    *("cluster", "process of a cluster"),
)


class Service:
    """``manage.py up`` with its own data. A thread starts it again whenever it ends."""

    def __init__(self, data_dir: Path, port: int, **env: str) -> None:
        self.data_dir, self.port, self.env = data_dir, port, {"PORT": str(port), **env}
        self.url = f"http://127.0.0.1:{port}"
        self.starts = 0
        self.log = data_dir / "service.log"
        self._stopping = threading.Event()
        self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _start(self) -> None:
        self.running = Running(self.data_dir, "up", **self.env)
        self.starts += 1

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self.running.process.wait()
            with self.log.open("a") as log:
                log.write(self.running.output)
            if not self._stopping.wait(RESTART_SECONDS):
                self._start()

    def stop(self) -> int:
        """Stop it as an operator does. Return its exit code once nothing is left of it."""
        self._stopping.set()
        return self.running.end(signal.SIGTERM)

    @property
    def is_up(self) -> bool:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request("GET", f"{self.url}/readyz", retries=False, timeout=5.0)
            return answer.status == 200
        return False

    def wait_up(self, seconds: float) -> float:
        """Return how long it took."""
        begin = time.monotonic()
        wait_until(lambda: self.is_up, seconds)
        return time.monotonic() - begin

    def processes(self) -> dict[str, list[int]]:
        """The live processes by kind."""
        found: dict[str, list[int]] = {kind: [] for kind in KINDS}
        starter = self.running.process.pid
        postmaster = main_process(self.data_dir / "pg")
        for pid in cluster_processes(self.data_dir / "pg"):
            found["PostgreSQL" if pid == postmaster else "process of PostgreSQL"].append(pid)
        parts = children(starter)
        for pid in processes_of(self.data_dir):
            line = command_line(pid)
            if pid == starter:
                found["starter"].append(pid)
            elif "gunicorn" in line:
                found["web" if pid in parts else "process of web"].append(pid)
            elif "qcluster" in line:
                found["cluster" if pid in parts else "process of a cluster"].append(pid)
        return found

    def kill_one(self, chance: random.Random) -> str | None:
        """SIGKILL a random process of a random kind. Return the kind; None if there was none."""
        kind = chance.choice(KINDS)
        candidates = sorted(self.processes()[kind])
        if not candidates:
            return None
        try:
            os.kill(chance.choice(candidates), signal.SIGKILL)
        except ProcessLookupError:
            return None
        return kind
