"""A service to measure: ``manage.py up`` with its own data, port and key."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 600


@dataclass(frozen=True)
class Service:
    port: int
    pid: int
    environment: Mapping[str, str]
    host: str = "127.0.0.1"


@contextmanager
def running() -> Iterator[Service]:
    """Start a service, connect this process's Django to its database, and stop it at the end.

    Call it before anything else uses Django's settings.
    """
    with started(ROOT) as service:
        os.environ |= service.environment
        _set_up_django()
        yield service


@contextmanager
def started(root: Path, **settings: str) -> Iterator[Service]:
    """Start the version in this directory with these settings, and stop it at the end."""
    directory = Path(tempfile.mkdtemp(prefix="imgsmlr-bench-"))
    # If we are root, PostgreSQL runs as another user, who must be able to enter.
    directory.chmod(0o755)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
        "DATA_DIR": str(directory / "data"),
        "DATABASE_URL": "",
        "PORT": str(_free_port()),
        "HOST": "127.0.0.1",
        "OPEN_API": "1",
        "CLIP_PRETRAINED": "none",
        # The address of the pictures to fetch, for this process too.
        "FETCH_ALLOW_PRIVATE": "1",
        "SCREEN_QUERIES": "true",
        # Somebody of any role opens pages with a session.
        "SECOND_FACTOR": "none",
        # High, so that nothing is refused; enabled, so that its cost is measured.
        "THROTTLE_POINTS": "100000000",
        **settings,
    }
    log = (directory / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=root, env=environment, stdout=log, stderr=log
    )
    try:
        service = Service(int(environment["PORT"]), process.pid, environment)
        if not _healthy(service, process):
            log.seek(0)
            raise RuntimeError(f"The service did not start:\n{log.read()[-4000:]}")
        yield service
    finally:
        process.terminate()
        process.wait(60)
        log.close()
        shutil.rmtree(directory, ignore_errors=True)


def memory(pid: int) -> dict[str, tuple[float, float]]:
    """Map each command to (PSS, RSS) in MB, summed over its processes below ``pid``."""
    found: dict[str, tuple[float, float]] = {}
    for name, ids in processes(pid).items():
        for process in ids:
            with contextlib.suppress(OSError):  # it has ended
                pss, rss = _memory_of(process)
                before = found.get(name, (0.0, 0.0))
                found[name] = before[0] + pss, before[1] + rss
    return found


def processes(pid: int) -> dict[str, list[int]]:
    """Map each command to its processes below ``pid``."""
    found: dict[str, list[int]] = {}
    for process in _family(pid):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        name = "supervisor"
        for word in ("gunicorn", "qcluster", "postgres"):
            if word.encode() in command:
                name = word
        found.setdefault(name, []).append(process)
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of all processes below ``pid``, including those that have ended."""
    return sum(map(own_cpu_seconds, _family(pid)))


def own_cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended."""
    with contextlib.suppress(OSError):
        return sum(map(int, _stat(process)[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _family(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        process = int(directory.name)
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(process)[1]), []).append(process)
    family = [pid]
    for process in family:
        family += children.get(process, [])
    return family


def _stat(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; the second may contain spaces."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _memory_of(process: int) -> tuple[float, float]:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return int(kilobytes["Pss"]) / 1024, int(kilobytes["Rss"]) / 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _healthy(service: Service, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            connection = http.client.HTTPConnection(service.host, service.port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def _set_up_django() -> None:
    import django

    django.setup()
