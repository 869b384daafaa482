"""A clock that is set back delays nothing. Only the clock itself is simulated."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from imgsmlr_site.clock_steps import ClockWatch

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("step", [-3600, -20, 3600])
def test_what_was_due_stays_due(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    before = timezone.now()
    Schedule.objects.all().update(next_run=before)
    for queue in ("light", "lists"):
        OrmQ.objects.create(key=queue, payload="", lock=before)
    watch = ClockWatch("light")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    for _ in range(2):
        watch.look()
    moved = timedelta(seconds=step if step == -3600 else 0)
    due = dict(OrmQ.objects.values_list("key", "lock"))
    assert due["lists"] == before
    assert abs(due["light"] - before - moved) < timedelta(seconds=1)
    runs = Schedule.objects.values_list("cluster", "next_run")
    assert {cluster for cluster, _ in runs} > {None, "lists"}
    for cluster, run in runs:
        own = cluster is None
        assert abs(run - before - (moved if own else timedelta())) < timedelta(seconds=1)


def test_a_slow_correction_is_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """But many of them are one."""
    row = OrmQ.objects.create(key="light", payload="", lock=timezone.now())
    watch = ClockWatch("light")
    real = time.time
    for seconds in range(0, 40, 4):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: real() - seconds)
        watch.look()
    before = row.lock
    row.refresh_from_db()
    assert timedelta(seconds=29) < before - row.lock < timedelta(seconds=36)
