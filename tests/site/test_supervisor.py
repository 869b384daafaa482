"""The supervisor with real processes: small programs in the place of the service's parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import children, wait_until
from tests.service import ROOT

PROGRAM = """
import logging, os, sys
from imgsmlr_site import supervisor
logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
supervisor.LONGEST_PAUSE = 0.05
supervisor.STOP_WAIT = 1.0
parts = [
    supervisor.Part(name, supervisor.command(["sh", "-c", script], os.environ))
    for name, script in zip(sys.argv[1::2], sys.argv[2::2])
]
sys.exit(supervisor.Supervisor(parts, lambda: True).run())
"""


@contextmanager
def supervised(**scripts: str) -> Iterator[subprocess.Popen[str]]:
    words = [word for item in scripts.items() for word in item]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


def test_a_part_that_cannot_be_brought_back_ends_everything_with_an_error() -> None:
    with supervised(lasting="exec sleep 100", failing="exit 3") as process:
        lasting = line(process)
        assert lasting.startswith("lasting started")
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    lines = output.splitlines()
    assert lines.count("failing ended (exit code 3): it is started again in 0 s") == 1
    assert sum(text.startswith("failing started") for text in lines) == 12
    assert lines[-2:] == [
        "failing ended 12 times in a row: everything is stopped",
        "lasting stopped (SIGTERM)",
    ]


def test_a_part_that_has_given_up_is_not_started_again() -> None:
    with supervised(failing="exit 69") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert sum(text.startswith("failing started") for text in output.splitlines()) == 1


def test_what_a_killed_part_has_started_is_killed_too() -> None:
    with supervised(part="sleep 100 & echo child $!; wait") as process:
        # The part and the supervisor write to the same pipe, in any order.
        of_child, of_part = sorted([line(process), line(process)])
        child = int(of_child.removeprefix("child "))
        part = int(of_part.removeprefix("part started (pid ").rstrip(")"))
        os.kill(part, signal.SIGKILL)
        assert line(process) == "part ended (SIGKILL): it is started again in 0 s"
        wait_until(lambda: not Path(f"/proc/{child}/cwd").exists(), 5)
        assert any(text.startswith("part started") for text in (line(process), line(process)))


def test_only_the_main_process_of_a_part_is_asked_to_stop() -> None:
    """The child says when it is asked; the part does not stop for it, and is killed."""
    script = "(trap 'echo asked' TERM; while sleep 0.1; do :; done) & trap '' TERM; echo set; wait"
    with supervised(part=script) as process:
        assert "set" in (line(process), line(process))
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.splitlines() == ["part stopped (SIGKILL)"]


def test_a_killed_supervisor_leaves_nothing_running() -> None:
    with supervised(one="exec sleep 100", two="exec sleep 100") as process:
        line(process), line(process)
        parts = children(process.pid)
        assert len(parts) == 2
        process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in parts), 5)
