"""``make load`` for some seconds, against the service of the journeys."""

from __future__ import annotations

import pytest

from benchmarks import load
from tests.journeys.conftest import Service

pytestmark = pytest.mark.slow


def test_some_seconds_of_load(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LINKS", 30)
    port = int(service.url.rpartition(":")[2])
    report = load.run(port, service.pid, seconds=3, clients=8, seed=1, equal=60)
    # Memory and the slowest probe say something in longer runs only.
    assert report.broken(load.Limits(growth=10, health_ms=5000)) == []
    assert set(report.times) == set(load.MIX)
    assert report.memory[0] > 0
    assert report.equal[202] == 1
    assert "| search |" in report.table()
    service.wait_described()
