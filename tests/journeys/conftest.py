"""The whole service as ``make run`` starts it, once for all journeys, and a site of pictures."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from imgsmlr_site.postgres.server import EmbeddedPostgres
from tests import migrated
from tests.httpserver import HttpServer
from tests.processes import wait_until
from tests.service import Running, directory_of_a_service, free_port
from tests.site.test_embedded_postgres import QUIET

MASTODON_SECRET = "journeys"


@dataclass(frozen=True)
class Service:
    """A running service: where it is, and where it keeps its files. ``storage_port``: where it
    looks for objects of S3."""

    url: str
    data_dir: Path
    pid: int
    storage_port: int

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=60, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def counts(self) -> dict[str, int]:
        """Images by status."""
        counted: dict[str, int] = self.get("/api/v1/status/").json()["images"]
        return counted

    def wait_described(self, seconds: float = 60) -> None:
        """Until the workers have nothing left to do."""

        def idle() -> bool:
            queues = self.get("/api/v1/status/").json()["queues"].values()
            return not any(queue["due"] or queue["working"] for queue in queues)

        wait_until(lambda: self.counts()["pending"] == 0 and idle(), seconds)

    def files(self) -> list[str]:
        media = self.data_dir / "media"
        return sorted(str(path.relative_to(media)) for path in media.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def service(django_db_setup: None) -> Iterator[Service]:
    with directory_of_a_service() as directory:
        with EmbeddedPostgres(directory, QUIET) as server:
            migrated.fill(server.dsn)
        port, storage_port = free_port(), free_port()
        (directory / "tmp").mkdir()
        up = Running(
            directory,
            "up",
            PORT=str(port),
            OPEN_API="1",
            FETCH_ALLOW_PRIVATE="127.0.0.1/32",
            FETCH_TIMEOUT="0.8",
            MAX_UPLOAD_MB="4",
            TMPDIR=str(directory / "tmp"),
            WORKER_NICE="0",  # other tests are no requests
            SECOND_FACTOR="none",  # its people log in with a password alone
            HMA_API="hma",
            IQDB_API="1",
            TRACE_MOE_API="1",
            PICT_RS_GATE="block",
            S3_GATE="block",
            S3_ENDPOINT=f"http://127.0.0.1:{storage_port}",
            S3_BUCKETS="uploads",
            S3_ACCESS_KEY="any",
            S3_SECRET_KEY="any",
            MASTODON_GATE="block",
            MASTODON_SECRET=MASTODON_SECRET,
        )
        up.wait_for("Ready: ")
        yield Service(f"http://127.0.0.1:{port}", directory, up.process.pid, storage_port)
        assert up.process.poll() is None, up.output
        assert up.end(signal.SIGINT) == 0
        assert "Traceback" not in up.output, up.output


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server
