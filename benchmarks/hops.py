"""A pytest plugin that shows the path of one call through the apps.

``HOPS=module:function pytest -p benchmarks.hops TEST`` prints, for the call of that function with
the longest path: the functions and modules of the apps that it runs, the pairs of modules of which
one calls the other, and the maximum depth of calls.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmarks.structure import APPS

ROOT = f"{Path.cwd()}/"


@dataclass
class Way:
    entry: FrameType | None
    functions: set[tuple[str, str]] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    depth: int = 0


class Tracer:
    def __init__(self, entry: str) -> None:
        module, self._function = entry.split(":")
        self._file = f"{module.replace('.', '/')}.py"
        self._current: Way | None = None
        self.longest: Way | None = None

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and (file := _file(frame)):
            if self._current is None:
                if (file, frame.f_code.co_name) != (self._file, self._function):
                    return
                self._current = Way(frame)
            self._note(self._current, frame, file)
        elif event == "return" and self._current and frame is self._current.entry:
            way, self._current = self._current, None
            way.entry = None
            if self.longest is None or len(way.functions) > len(self.longest.functions):
                self.longest = way

    def _note(self, way: Way, frame: FrameType, file: str) -> None:
        way.functions.add((file, frame.f_code.co_name))
        files = [file]
        while frame is not way.entry and frame.f_back is not None:
            frame = frame.f_back
            if above := _file(frame):
                files.append(above)
        way.depth = max(way.depth, len(files))
        if len(files) > 1 and files[1] != file:
            way.pairs.add((files[1], file))


def _file(frame: FrameType) -> str:
    file = frame.f_code.co_filename.removeprefix(ROOT)
    ours = file.split("/")[0] in APPS and "/migrations/" not in file
    return file if ours and not frame.f_code.co_name.startswith("<") else ""


TRACER = Tracer(os.environ["HOPS"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    sys.setprofile(TRACER)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    sys.setprofile(None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if (way := TRACER.longest) is None:
        terminalreporter.write_line(f"{os.environ['HOPS']} was not called")
        return
    modules = {file for file, _ in way.functions}
    terminalreporter.write_line(
        f"{len(way.functions)} functions, {len(modules)} modules, "
        f"{len(way.pairs)} calls between modules, depth {way.depth}"
    )
