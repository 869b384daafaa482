"""What is due at a time is still done when the clock is set back.

django-q2 stores the times when tasks and schedules are due. After a step back by an hour, all that
was due already would wait for an hour.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import F, Q
from django_q.models import OrmQ, Schedule

LEAST_STEP: Final = 30.0
"""Seconds. What corrects a clock as usual takes smaller steps."""

logger = logging.getLogger(__name__)


class ClockWatch:
    """Makes the tasks and schedules of a queue due earlier when the clock was set back."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._ahead = _clock_ahead()

    def look(self) -> None:
        """Compare the clock with the time since the start of the machine, which nobody can set."""
        ahead = _clock_ahead()
        back = self._ahead - ahead
        if abs(back) < LEAST_STEP:
            return
        if back > 0:
            logger.warning(
                "The clock was set back by %.0f s: tasks are due that much earlier", back
            )
            bring_forward(self._queue, timedelta(seconds=back))
        self._ahead = ahead


def _clock_ahead() -> float:
    return time.time() - time.monotonic()


def bring_forward(queue: str, step: timedelta) -> None:
    OrmQ.objects.filter(key=queue).update(lock=F("lock") - step)
    own = Q(cluster=queue)
    if queue == settings.Q_CLUSTER["name"]:
        own |= Q(cluster=None)
    Schedule.objects.filter(own).update(next_run=F("next_run") - step)
