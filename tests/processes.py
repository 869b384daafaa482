"""Looks at running processes, by /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def children(pid: int) -> set[int]:
    """Ids of its children that run."""
    return _children().get(pid, set())


def descendants(pid: int) -> set[int]:
    return _below(pid, _children())


def forked(name: str) -> set[int]:
    """Ids of the running processes that ``fork_server`` started for this one, by their name.

    They are two steps down. A service that a test has started has some of its own, further down.
    """
    of = _children()
    forked_here = {pid for child in of.get(os.getpid(), ()) for pid in of.get(child, ())}
    return {pid for pid in forked_here if _name(pid) == name[:15]}


def _children() -> dict[int, set[int]]:
    """Of every process that has some, in one walk through /proc: many tests ask."""
    of: dict[int, set[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (facts := _stat(int(entry.name))):
            of.setdefault(int(facts[1]), set()).add(int(entry.name))
    return of


def _below(pid: int, of: dict[int, set[int]]) -> set[int]:
    found = of.get(pid, set())
    return found.union(*(_below(child, of) for child in found))


def is_running(pid: int) -> bool:
    return bool(_stat(pid))


def cpu_seconds(pid: int) -> float:
    facts = _stat(pid)
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK") if facts else 0.0


def memory(pid: int, name: str) -> int:
    """Bytes of ``VmHWM``, ``VmRSS`` and so on."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Ask for a fifth of the time, or ten times a second: asking may hold up what is waited for."""
    until = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        assert now < until, "it did not happen"
        time.sleep(min(max(0.01, 4 * (now - asked)), 0.1))


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(pid: int) -> list[str]:
    """From the state on; empty if it has ended."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if facts[0] in "ZX" else facts
