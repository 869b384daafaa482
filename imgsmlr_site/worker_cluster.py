"""django-q2's cluster of workers, which ends as a whole when it cannot go on.

Workers, pusher and monitor share queues whose locks a killed process takes along: the others then
wait for ever. So a cluster that lost a process is not repaired but ends, and whoever started it
(``manage.py up``, systemd, Docker) starts another one. It is one process with its children: the
sentinel of django-q2 without the process above it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
import time
import uuid
from datetime import timedelta
from multiprocessing import RawValue
from types import FrameType
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone
from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.signals import pre_execute

from imgsmlr_site import health
from imgsmlr_site.clock_steps import ClockWatch
from imgsmlr_site.models import WorkerCluster
from imgsmlr_site.parent_death import kill_forks_with_their_parents
from imgsmlr_site.quick_end import end_now

logger = logging.getLogger(__name__)

STILL_AFTER = 30.0
"""Seconds without a task begun, while one is due and no worker has any, until the cluster ends."""
HANGS_AFTER = 20
"""Seconds that one round of the sentinel may take; the kernel ends it then."""
LOOK_EVERY = 10.0
"""Seconds between two looks at the queue, and between two lines in the table of clusters."""
DRAIN_WAIT = 15.0
"""Seconds that tasks under way may take when the cluster ends for the loss of a worker."""


class Round:
    """What the sentinel waits for between two rounds, in the place of a ``multiprocessing.Event``.

    Its lock would stay locked if a signal came at the wrong moment.
    """

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self._stop = False

    def is_set(self) -> bool:
        return self._stop

    def set(self) -> None:
        self._stop = True

    def wait(self, seconds: float) -> bool:
        time.sleep(seconds)
        if self.cluster is not None and not self._stop:
            self.cluster.look()
        return self._stop


class Cluster(Sentinel):
    """Starts its processes and guards them until SIGTERM or SIGINT. Exit code 1 on a loss."""

    def __init__(self) -> None:
        self.round = Round()
        self.round.cluster = self
        self._begun = RawValue("Q", 0)  # without a lock, which could be lost as well
        self._last_begun = 0
        self._started = timezone.now()
        self._moved = time.monotonic()
        self._next_look = 0.0
        self._clock = ClockWatch(Conf.CLUSTER_NAME)
        kill_forks_with_their_parents()
        pre_execute.connect(self._count)
        gc.freeze()  # so that a collection in a child does not copy all memory
        super().__init__(self.round, threading.Event(), uuid.uuid4())

    def _count(self, **_: Any) -> None:
        """Runs in the worker, before each task."""
        self._begun.value += 1

    def guard(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._asked_to_stop)
        os.register_at_fork(after_in_child=_leave_signals_to_the_sentinel)
        signal.alarm(HANGS_AFTER)
        super().guard()

    def stop(self) -> None:
        # From here on whoever started it limits the time.
        signal.alarm(0)
        super().stop()

    def _asked_to_stop(self, signum: int, frame: FrameType | None) -> None:
        self.round.set()

    def look(self) -> None:
        """Once a round: is every process there, and does the queue move?"""
        # A lock that a killed process holds would stop this one too. The kernel notices that.
        signal.alarm(HANGS_AFTER)
        close_old_connections()
        for process in (*self.pool, self.monitor, self.pusher):
            if not process.is_alive():
                self.reincarnate(process)
        if self._begun.value != self._last_begun or self._busy():
            self._last_begun = self._begun.value
            self._moved = time.monotonic()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY
        try:
            self._clock.look()
            self._write()
            waited = health.queue(Conf.CLUSTER_NAME).oldest
        except DatabaseError:
            return
        if min(waited, time.monotonic() - self._moved) > STILL_AFTER:
            logger.critical("Tasks are due and none is begun: the cluster ends")
            self._end()

    def _write(self) -> None:
        """Say that this cluster runs, and forget those that were killed."""
        now = timezone.now()
        WorkerCluster.objects.filter(seen_at__lt=now - timedelta(days=1)).delete()
        row = WorkerCluster(
            queue=Conf.CLUSTER_NAME,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started,
            seen_at=now,
            moved_at=now - timedelta(seconds=time.monotonic() - self._moved),
        )
        WorkerCluster.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["queue", "host", "pid"],
            update_fields=["started_at", "seen_at", "moved_at"],
        )

    def reincarnate(self, process: Any) -> None:
        """Replace a process that ended in order, as after 1,000 tasks; end after any other."""
        process.join(1)  # one whose task timed out is about to end in order
        if process.exitcode == 0:
            super().reincarnate(process)
            return
        how = "hangs" if process.is_alive() else f"ended with code {process.exitcode}"
        logger.critical("Process %s %s: the cluster ends", process.pid, how)
        self.pusher.kill()
        # Otherwise a picture that kills its worker would cost its neighbours an attempt.
        deadline = time.monotonic() + DRAIN_WAIT
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.1)
        self._end()

    def _busy(self) -> bool:
        """Whether a live worker has a task. Read without the lock."""
        return any(p.is_alive() and p.timer.get_obj().value > 0 for p in self.pool)

    def _end(self) -> None:
        # Children are killed by the kernel. Waiting for them could last for ever.
        end_now(1)


def _leave_signals_to_the_sentinel() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
