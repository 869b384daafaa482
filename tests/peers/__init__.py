"""Other programs that the tests talk to, each in an environment of its own.

What a program needs is in ``NAME.txt``, with versions and hashes in ``NAME.lock`` (``make lock``).
It is installed by the first test that asks for it, into pytest's cache. Where that is not possible
the test is skipped, with the reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def place_of_peers(config: pytest.Config) -> Path:
    directory: Path = config.cache.mkdir("peers")  # type: ignore[union-attr]
    return directory


def python_with(name: str, peers: Path) -> Path:
    """Return the Python of an environment that holds the program and nothing else."""
    place = _place(name, peers)
    python = place / "bin" / "python"
    with _alone(place):
        if not (place / "complete").exists():
            _run("venv", "--clear", "--without-pip", str(place))
            _install(name, place, pip=["--python", str(python)])
    return python


def packages_of(name: str, peers: Path) -> Path:
    """Return a directory for ``sys.path``, of packages that complete those of this Python."""
    place = _place(name, peers)
    with _alone(place):
        if not (place / "complete").exists():
            _install(name, place, install=["--target", str(place)])
    return place


def _place(name: str, peers: Path) -> Path:
    lock = hashlib.sha256((HERE / f"{name}.lock").read_bytes()).hexdigest()[:12]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    peers.mkdir(exist_ok=True)
    return peers / f"{name}-{version}-{lock}"


class _alone:
    """One worker installs, the others wait."""

    def __init__(self, place: Path) -> None:
        self._path = place.with_suffix(".flock")

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _install(
    name: str, place: Path, *, pip: Sequence[str] = (), install: Sequence[str] = ()
) -> None:
    lock = str(HERE / f"{name}.lock")
    options = ["--quiet", "--no-compile", "--no-deps", "--require-hashes", "--requirement", lock]
    _run("pip", *pip, "install", *options, *install)
    (place / "complete").touch()


def _run(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        pytest.skip(f"The other program cannot be installed: {reason}")
