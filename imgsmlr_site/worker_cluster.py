"""A cluster of workers: one process that hands the tasks of a queue to its children.

It runs django-q2's tasks, schedules and worker, and takes the place of its sentinel, pusher and
monitor, three processes that ask the database all the time (docs/adr/0031-light-when-idle.md). It
sleeps until PostgreSQL tells it of a task, a worker of a result, or a few seconds have passed.

A cluster that lost a worker is not repaired but ends, and whoever started it (``manage.py up``,
systemd, Docker) starts another one.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final, NoReturn
from uuid import uuid4

import psycopg2
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, connection, connections
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.monitor import save_task
from django_q.scheduler import scheduler
from django_q.signing import BadSignature, SignedPackage
from django_q.worker import worker

from imgsmlr_site import health
from imgsmlr_site.clock_steps import ClockWatch
from imgsmlr_site.models import WorkerCluster
from imgsmlr_site.outages import outage
from imgsmlr_site.quick_end import end_now

logger = logging.getLogger(__name__)

CHANNEL: Final = "imgsmlr_tasks"
"""Where a trigger tells the name of a queue when a task for it is committed (migration 0004)."""
TICK: Final = 5.0
"""Seconds after which the queue is looked at without being told: tasks are due again by time."""
AWAY: Final = 1.0
"""Seconds until the database is tried again."""
LOOK_EVERY: Final = 10.0
"""Seconds between two lines in the table of clusters."""
SCHEDULE_EVERY: Final = 30.0
OWN_FIRST, OWN_EVERY = 60.0, 600.0
"""Seconds from the start to the first tasks that each host does for itself, and between them."""
STILL_AFTER: Final = 30.0
"""Seconds without a task begun, while one is due and no worker has any, until the cluster ends."""
HANGS_AFTER: Final = 20
"""Seconds that one round of the cluster may take; the kernel ends it then."""
OVERTIME: Final = 3.0
"""Seconds after its timeout at which a task that did not end by itself hangs."""
DRAIN_WAIT: Final = 15.0
"""Seconds that tasks under way may take when the cluster ends for the loss of a worker."""
CONNECTED: Final = 2.0
"""Seconds for which a worker without a task keeps its connection, a process of PostgreSQL."""

HELD: Final = 300
"""Seconds for which nobody else gets the tasks of a cluster. It renews them while it runs; once it
was killed, others get them after this time."""

TAKE: Final = """
UPDATE django_q_ormq SET lock = now() + make_interval(secs => %s)
WHERE id = (
    SELECT id FROM django_q_ormq WHERE key = %s AND lock <= now() + interval '1 second'
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, payload
"""
"""The second is for clocks of hosts that differ: a task is due by the clock of who queued it."""
HOLD: Final = """
UPDATE django_q_ormq SET lock = now() + make_interval(secs => %s) WHERE id = ANY(%s)
"""

Task = dict[str, Any]
_STOP: Final = "STOP"  # django-q2's word
_BEGUN: Final = "begun"


class _Pipe:
    """The worker's end, as the two queues that django-q2's worker expects.

    Nobody shares it: a lock of a ``multiprocessing.Queue`` stays locked when its owner is killed.
    """

    def __init__(self, end: Connection) -> None:
        self._end = end

    def get(self) -> Task | str:
        if not self._end.poll(CONNECTED):
            connections.close_all()
        task: Task | str = self._end.recv()
        self._end.send(_BEGUN)
        return task

    def put(self, result: Task) -> None:
        self._end.send(result)


class _Timer:
    """What django-q2's worker writes its state to. The cluster knows it from the pipe."""

    value = 0.0

    def get_lock(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@dataclass
class Worker:
    """A child and its task; ``since``: when it got or began it (monotonic)."""

    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    begun: bool = False
    since: float = 0.0

    def hand(self, task: Task) -> None:
        self.task, self.begun, self.since = task, False, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # its end is noticed in the next round
            self.pipe.send(task)

    def hear(self) -> Task | None:
        """Return its result, if it has finished a task."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while self.pipe.poll():
                said = self.pipe.recv()
                if said == _BEGUN:
                    self.begun, self.since = True, time.monotonic()
                else:
                    self.task = None
                    result: Task = said
                    return result
        return None

    @property
    def files(self) -> tuple[Connection, int]:
        """What can be read when it says something, or ends."""
        return self.pipe, self.process.sentinel

    @property
    def hangs(self) -> bool:
        """Whether it has not taken its task, or has not ended it in time."""
        if self.task is None:
            return False
        timeout = self.task.get("timeout", Conf.TIMEOUT) + OVERTIME
        return time.monotonic() - self.since > (timeout if self.begun else STILL_AFTER)


class Cluster:
    """Starts its workers and serves them until SIGTERM or SIGINT. Exit code 1 on a loss."""

    def __init__(self, name: str) -> None:
        _use_settings_of(name)
        self._broker = get_broker()
        self._workers: list[Worker] = []
        self._returned: deque[Task] = deque()
        """Taken from the queue, and handed to a worker that ended before it began it."""
        self._results: deque[Task] = deque()
        self._listening: Any = None
        self._told = False
        self._stopping = False
        self._started = timezone.now()
        self._moved = self._next_look = self._next_schedule = time.monotonic()
        self._next_tick = 0.0
        self._next_own = time.monotonic() + OWN_FIRST
        self._clock = ClockWatch(name)
        self._woken, self._wakes = socket.socketpair()

    def run(self) -> NoReturn:
        self._wakes.setblocking(False)
        for _ in range(Conf.WORKERS):
            self._start_worker()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._asked_to_stop)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        logger.info("Cluster %s runs (workers: %s)", Conf.CLUSTER_NAME, Conf.WORKERS)
        while not self._stopping:
            self._round()
        self._stop()
        end_now(0)

    def _asked_to_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stopping = True

    # --- Workers --------------------------------------------------------------------------

    def _start_worker(self) -> None:
        connections.close_all()  # a fork must not share one
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_work, args=(theirs,), daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(Worker(process, ours))

    def _round(self) -> None:
        self._wait(max(self._next_tick - time.monotonic(), 0.0))
        for each in list(self._workers):
            alive = each.process.is_alive()
            self._hear(each)  # after the look, so that its last words are heard
            if not alive:
                self._replace(each)
            elif each.hangs:
                self._lose(each, "hangs")
        try:
            self._serve()
        except (DatabaseError, InterfaceError) as error:
            self._next_tick = time.monotonic() + AWAY
            if outage(error) is None:
                logger.exception("The queue cannot be read")
            connection.close()

    def _wait(self, seconds: float) -> None:
        """Sleep until there is something to do."""
        raw = connection.connection
        if raw is not None and raw.closed:
            connection.close()
            raw = None
        if raw is not None and raw.notifies:
            seconds = 0.0  # it came along with the answer to a query
        files: list[Any] = [file for each in self._workers for file in each.files]
        files += [self._woken] if raw is None else [self._woken, raw]
        signal.alarm(HANGS_AFTER)
        ready = wait(files, seconds)
        signal.alarm(HANGS_AFTER)
        if self._woken in ready:
            self._woken.recv(1024)
        if raw is not None:
            try:
                raw.poll()
            except psycopg2.Error:
                connection.close()
            self._told |= any(notice.payload == Conf.CLUSTER_NAME for notice in raw.notifies)
            raw.notifies.clear()

    def _hear(self, each: Worker) -> None:
        result = each.hear()
        if result is not None:
            self._results.append(result)
        if each.task is not None or result is not None:
            self._moved = time.monotonic()

    def _replace(self, ended: Worker) -> None:
        """One ends in order after 1,000 tasks, and after a task whose time was over."""
        code = ended.process.exitcode
        if code or (ended.begun and ended.task is not None):
            self._lose(ended, f"ended with code {code}")
        self._workers.remove(ended)
        ended.pipe.close()
        if ended.task is not None:
            self._returned.append(ended.task)
        self._start_worker()

    def _lose(self, lost: Worker, how: str) -> NoReturn:
        logger.critical("Process %s %s: the cluster ends", lost.process.pid, how)
        # Otherwise a picture that kills its worker would cost its neighbours an attempt.
        self._workers.remove(lost)
        deadline = time.monotonic() + DRAIN_WAIT
        while (left := deadline - time.monotonic()) > 0:
            for each in self._workers:
                self._hear(each)
            busy = [each for each in self._workers if each.task and each.process.is_alive()]
            if not busy:
                break
            wait([file for each in busy for file in each.files], left)
        self._end()

    def _stop(self) -> None:
        """Let the workers finish. From here on whoever started the cluster limits the time."""
        signal.alarm(0)
        for each in self._workers:
            with contextlib.suppress(BrokenPipeError):
                each.pipe.send(_STOP)
        while running := [each for each in self._workers if each.process.is_alive()]:
            wait([file for each in running for file in each.files], LOOK_EVERY)
            for each in running:
                self._hear(each)
            with contextlib.suppress(DatabaseError, InterfaceError):
                self._hold_all()
        for each in self._workers:
            self._hear(each)
        with contextlib.suppress(DatabaseError, InterfaceError):  # they are done again
            self._save()

    def _end(self) -> NoReturn:
        with contextlib.suppress(DatabaseError, InterfaceError):
            self._save()
        # Children are killed by the kernel. Waiting for them could last for ever.
        end_now(1)

    # --- The queue ------------------------------------------------------------------------

    def _serve(self) -> None:
        """All that needs the database."""
        now = time.monotonic()
        self._listen()
        if now >= self._next_tick:
            self._next_tick = now + TICK
            self._told = True
        if now >= self._next_own:
            self._next_own = now + OWN_EVERY
            own = settings.TASKS_OF_EACH_HOST.get(Conf.CLUSTER_NAME, ())
            self._returned.extend(map(_own_task, own))
        self._hand_out()
        self._save()
        if now >= self._next_schedule:
            self._next_schedule = now + SCHEDULE_EVERY
            scheduler(broker=self._broker)
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._look()

    def _listen(self) -> None:
        connection.ensure_connection()
        if connection.connection is not self._listening:
            with connection.cursor() as cursor:
                # A crash may undo what it wrote last: tasks are done again. To wait for the disk
                # twice for each task takes longer than many tasks.
                cursor.execute(f"SET synchronous_commit = off; LISTEN {CHANNEL}")
            self._listening = connection.connection
            self._told = True

    def _hand_out(self) -> None:
        for each in self._workers:
            if each.task is not None:
                continue
            if not self._returned and not self._told:
                return
            task = self._returned.popleft() if self._returned else self._take()
            if task is None:
                self._told = False
                return
            each.hand(task)

    def _take(self) -> Task | None:
        """Return a task that is due, which nobody else gets while this cluster runs."""
        while True:
            with connection.cursor() as cursor:
                cursor.execute(TAKE, [_held(), Conf.CLUSTER_NAME])
                row = cursor.fetchone()
            if row is None:
                return None
            pk, payload = row
            try:
                task: Task = SignedPackage.loads(payload)
            except (TypeError, BadSignature):
                logger.exception("A task of another SECRET_KEY is deleted")
                OrmQ.objects.filter(pk=pk).delete()
                continue
            return {**task, "cluster": Conf.CLUSTER_NAME, "ack_id": pk}

    def _hold(self, seconds: float, ids: Sequence[int]) -> None:
        if ids:
            with connection.cursor() as cursor:
                cursor.execute(HOLD, [seconds, list(ids)])

    def _hold_all(self) -> None:
        tasks = [each.task for each in self._workers if each.task] + [*self._returned]
        self._hold(_held(), [task["ack_id"] for task in tasks])

    def _save(self) -> None:
        """Delete tasks that are done, which would be done again otherwise; keep failures."""
        while self._results:
            task = self._results[0]
            if task["success"]:
                OrmQ.objects.filter(pk=task["ack_id"]).delete()
            else:
                logger.error("Failed %s (%s): %s", task["func"], task["name"], task["result"])
                self._hold(Conf.RETRY, [task["ack_id"]])
                save_task(task, self._broker)
            self._results.popleft()

    def _look(self) -> None:
        """Does the queue move?"""
        self._clock.look()
        self._hold_all()
        self._write()
        still = time.monotonic() - self._moved
        if still > STILL_AFTER and health.queue(Conf.CLUSTER_NAME).oldest > STILL_AFTER:
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


def _own_task(name: str) -> Task:
    """Return a task that was never in the queue, where another host could take it."""
    return {
        **{"id": uuid4().hex, "name": name, "func": name, "args": (), "kwargs": {}},
        **{"started": timezone.now(), "cluster": Conf.CLUSTER_NAME, "ack_id": 0},
    }


def _held() -> float:
    seconds: float = min(HELD, Conf.RETRY)
    return seconds


def _use_settings_of(name: str) -> None:
    """django-q2 reads those of ``Q_CLUSTER_NAME`` only, when it is loaded."""
    all_of_them: dict[str, Any] = settings.Q_CLUSTER
    own = {**all_of_them, **all_of_them["ALT_CLUSTERS"].get(name, {})}
    Conf.CLUSTER_NAME = name
    Conf.WORKERS, Conf.TIMEOUT, Conf.RETRY = own["workers"], own["timeout"], own["retry"]


def _work(end: Connection) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = _Pipe(end)
    worker(pipe, pipe, _Timer(), Conf.TIMEOUT)
