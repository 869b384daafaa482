"""Counts the processor time of the stages of a request, in this process and in its children."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import Any

DECODING = "decode"
"""The stage that gets the time of the processes that decode."""
REST = "the rest"
Stage = tuple[str, Any, str]
"""Its name, the module or class that holds a function, and the function's name."""


class _Open(threading.local):
    """``children``: for each stage that this thread is in, the seconds of the stages within."""

    def __init__(self) -> None:
        self.children: list[float] = []


@dataclass
class Stages:
    """``spent``: stage → CPU seconds in it, without those of the stages that it calls. A stage that
    asks the database gets what its backend used meanwhile. ``requests``: CPU seconds of each."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    requests: list[float] = field(default_factory=list)
    _open: _Open = field(default_factory=_Open)

    def milliseconds(self) -> dict[str, float]:
        """Return the mean of a request: of each stage, and of what lies in none."""
        known = {name: seconds * 1000 / len(self.requests) for name, seconds in self.spent.items()}
        whole = sum(self.requests) * 1000 / len(self.requests)
        return {**known, REST: whole - sum(known.values())}

    @contextmanager
    def counted(self, stages: Sequence[Stage]) -> Iterator[None]:
        """Count calls of these functions, whichever of the project's modules imported them."""
        undo: list[tuple[Any, str, Any]] = []
        for name, holder, attribute in stages:
            function = getattr(holder, attribute)
            counting = self._counting(name, function)
            for place in (holder, *_importers(function)):
                for known, value in list(vars(place).items()):
                    if value is function:
                        undo.append((place, known, function))
                        setattr(place, known, counting)
        try:
            yield
        finally:
            for place, known, function in undo:
                setattr(place, known, function)

    def request(self, work: Callable[[], Any]) -> Any:
        """Do the work of one request."""
        backend = _backend()
        decoders, used, begun = _decoders(), _seconds(backend), time.process_time()
        result = work()
        here = time.process_time() - begun + _seconds(backend) - used
        # A decoder may have ended meanwhile, and another begun.
        below = sum(s - decoders.get(process, 0.0) for process, s in _decoders().items())
        self.spent[DECODING] += below
        self.requests.append(here + below)
        return result

    def _counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counting(*arguments: Any, **named: Any) -> Any:
            children = self._open.children
            children.append(0.0)
            backend = _backend()
            begun, used = time.thread_time(), _seconds(backend)
            try:
                return function(*arguments, **named)
            finally:
                taken = time.thread_time() - begun + _seconds(backend) - used
                self.spent[name] += taken - children.pop()
                if children:
                    children[-1] += taken

        return counting


def _importers(function: Callable[..., Any]) -> list[Any]:
    modules = [m for name, m in list(sys.modules.items()) if name.split(".")[0] in _OURS]
    return [module for module in modules if function in _functions(module)]


_OURS = frozenset({"gallery", "videos", "moderation"})


def _functions(module: Any) -> list[Any]:
    return [value for value in vars(module).values() if callable(value)]


def _backend() -> int | None:
    """The process of the database that serves this thread."""
    from django.db import connection

    held = connection.connection
    return held.info.backend_pid if held is not None and not held.closed else None


def _seconds(process: int | None) -> float:
    if process is not None:
        with contextlib.suppress(OSError):
            return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    return 0.0


def _decoders() -> dict[int, float]:
    """Map the processes below this one that are not the database's to their CPU seconds."""
    return {process: _seconds(process) for process in _children(os.getpid())}


def _children(process: int) -> list[int]:
    found: list[int] = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, listed.read_text().split()):
                if not _is_postgres(child):
                    found += [child, *_children(child)]
    return found


@cache
def _is_postgres(process: int) -> bool:
    return b"postgres" in Path(f"/proc/{process}/cmdline").read_bytes()
