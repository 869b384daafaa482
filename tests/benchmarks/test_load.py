"""``make load`` for some seconds, against the web server and its workers as they are started."""

from __future__ import annotations

import pytest

from benchmarks import load, service


def test_some_seconds_of_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_QUEUE", "20")
    monkeypatch.setattr(load, "LINKS", 50)
    with service.started(service.ROOT) as started:
        report = load.run(started.port, started.pid, seconds=4, clients=12, seed=1, equal=60)
    # Memory and the slowest probe say something in longer runs only.
    limits = load.Limits(growth=10, health_ms=5000, queue=20 + 40)
    assert report.broken(limits) == []
    assert set(report.times) == set(load.MIX)
    assert sum(count for (_, status), count in report.answers.items() if status == 429) > 0
    assert report.equal[202] == 1
    assert "| search |" in report.table()
