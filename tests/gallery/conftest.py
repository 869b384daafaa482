"""On which index searches are tested, and a Milvus: milvus-lite, as a server of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gallery.search.engines import MILVUS, PGVECTOR, fed_before_each_search
from tests.peers import packages_of, place_of_peers

HERE = Path(__file__).parent

ON_BOTH = ("api/test_search.py",)
"""Tests that run on each index, always."""

SEARCHES = (
    *("api/test_iqdb.py", "api/test_legacy.py", "search/test_copy_search.py"),
    *("search/test_replica.py", "duplicates/test_duplicates.py", "items/test_deleting.py"),
    *("items/test_describe_missing.py", "items/test_publishing.py", "items/test_versions.py"),
)
"""Tests that do so with ``--milvus``."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = ON_BOTH + (SEARCHES if metafunc.config.getoption("--milvus") else ())
    if metafunc.definition.path.relative_to(HERE).as_posix() in asked:
        metafunc.parametrize("search_engine", [PGVECTOR, MILVUS], indirect=True)


@pytest.fixture(autouse=True)
def search_engine(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    if getattr(request, "param", PGVECTOR) == PGVECTOR:
        yield
        return
    settings.MILVUS_URL = request.getfixturevalue("milvus_url")
    request.getfixturevalue("db")
    with fed_before_each_search():
        yield


@pytest.fixture(scope="session")
def milvus_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    packages = packages_of("milvus", place_of_peers(request.config))
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
