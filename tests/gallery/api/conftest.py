"""What the tests of both HTTP APIs start from: an open service and a picture server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.httpserver import HttpServer


@pytest.fixture(autouse=True)
def _open_and_unthrottled(open_api: None, settings: Any, db: None) -> None:
    settings.THROTTLE_POINTS = 0


@pytest.fixture
def web() -> Iterator[HttpServer]:
    """A site that serves what a test puts into ``routes``."""
    with HttpServer() as server:
        yield server
