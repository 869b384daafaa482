"""Object storage that speaks S3: moto's server, a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import requests

from gallery.net.s3_signing import SigningKey, signed_link
from tests.peers import place_of_peers, python_with
from tests.processes import wait_until
from tests.service import free_port


@dataclass(frozen=True)
class Storage:
    """The tests' own requests. The names of objects are quoted."""

    url: str

    def put(self, name: str, data: bytes, tags: str = "") -> None:
        answer = requests.put(f"{self.url}/{name}", data, headers={"x-amz-tagging": tags})
        assert answer.status_code == 200, answer.text

    def has(self, name: str) -> bool:
        return self._get(name).status_code == 200

    def tags(self, name: str) -> str:
        return self._get(name, tagging="").text

    def _get(self, name: str, **query: str) -> requests.Response:
        key = SigningKey("any", "secret", "us-east-1")
        return requests.get(signed_link("GET", f"{self.url}/{name}", key, query=query))


@contextmanager
def running(config: pytest.Config) -> Iterator[Storage]:
    port = free_port()
    command = [python_with("s3", place_of_peers(config)), "-m", "moto.server", "-H", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = Storage(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        try:
            return requests.put(f"{found.url}/uploads").status_code == 200
        except requests.ConnectionError:
            return False

    try:
        wait_until(answers, 60)
        yield found
    finally:
        server.terminate()
        server.wait()


def options(endpoint: str, bucket: str = "media", prefix: str = "") -> dict[str, str]:
    """What ``MEDIA_S3_URL`` says."""
    return {
        **{"endpoint_url": endpoint, "bucket_name": bucket, "location": prefix},
        **{"region_name": "us-east-1", "access_key": "any", "secret_key": "secret"},
    }
