"""Starts the service as users do: ``manage.py`` as a process, with a data directory of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgsmlr_site.postgres.cluster import cluster_processes
from tests.environment import DATA_DIR
from tests.processes import wait_until

ROOT = Path(__file__).resolve().parents[1]


def make_directory() -> Path:
    """Below /tmp, and open: pytest's own directories let in nobody but the user of the tests.

    With the model that the tests have made once: making it takes ten seconds.
    """
    directory = Path(tempfile.mkdtemp(prefix="imgsmlr-test-", dir="/tmp"))
    directory.chmod(0o755)
    shutil.copytree(DATA_DIR / "models", directory / "models")
    return directory


@contextmanager
def directory_of_a_service() -> Iterator[Path]:
    """What still works for it is killed at the end."""
    directory = make_directory()
    try:
        yield directory
    finally:
        for pid in processes_of(directory):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not cluster_processes(directory / "pg"), 15)
        shutil.rmtree(directory)


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
