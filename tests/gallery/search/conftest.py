"""A Milvus for the tests of searches: milvus-lite, as a server of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import packages_of


@pytest.fixture(scope="session")
def milvus_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    packages = packages_of("milvus", request.config)
    # Behind those of the service, of which it holds some too.
    sys.path.append(str(packages))
    place = tmp_path_factory.mktemp("milvus")
    port = _free_port()
    words = ["-m", "milvus_lite", "server", "--data-dir", str(place / "data")]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *words, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"PYTHONPATH": str(packages)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process, place / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        sys.path.remove(str(packages))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())
