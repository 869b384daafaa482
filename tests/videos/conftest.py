"""What the tests of videos share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.httpserver import HttpServer
from videos import conf


@pytest.fixture(autouse=True)
def _settings_are_read_anew() -> Iterator[None]:
    conf.forget()
    yield
    conf.forget()


@pytest.fixture(autouse=True)
def _the_grid_of_times_begins_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say when a cut is seen. The hidden phase has its own, with the filter's."""
    monkeypatch.setattr(conf, "phase", lambda: 0.0)


@pytest.fixture
def web(open_api: None, settings: Any) -> Iterator[HttpServer]:
    """A site that serves what a test puts into ``routes``, to a service that is open."""
    settings.THROTTLE_POINTS = 0
    with HttpServer() as server:
        yield server
