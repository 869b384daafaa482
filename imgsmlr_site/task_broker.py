"""The queue of tasks in the database, for workers that outlive a database that is away."""

from __future__ import annotations

import time
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from imgsmlr_site.outages import outage

DATABASE_ERRORS = (DatabaseError, InterfaceError)
RETRY_SECONDS = 1.0


class PatientBroker(ORM):
    """django-q2's ORM broker, which waits where its own process would end.

    Only what worker clusters call: who adds a task gets the error at once.
    """

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep no status: each cluster would write one each second. ``WorkerCluster`` has it."""

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Return the next tasks; None if there are none, or no database."""
        try:
            tasks: list[tuple[int, str]] | None = super().dequeue()
            return tasks
        except DATABASE_ERRORS as error:
            _wait(error)
            return None

    def acknowledge(self, task_id: Any) -> None:
        """Delete a finished task, which would be done again otherwise."""
        while True:
            try:
                super().acknowledge(task_id)
                return
            except DATABASE_ERRORS as error:
                _wait(error)


def _wait(error: Exception) -> None:
    """Raise the error unless the database is away."""
    if outage(error) is None:
        raise error
    connections[Conf.ORM].close()
    time.sleep(RETRY_SECONDS)
