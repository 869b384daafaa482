"""How far a person is: pictures decided in this sitting, those that wait for them, and the pace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count
from django.utils import timezone

from moderation.access.permissions import Actor
from moderation.cases import queue
from moderation.cases.models import Decision, DecisionBatch
from moderation.cases.permissions import decidable
from moderation.cases.queue import Filters

PAUSE: Final = timedelta(minutes=30)
"""A longer pause between two decisions ends a sitting."""
LONGEST: Final = timedelta(hours=12)
MOST: Final = 500
"""Commands of a sitting, and pictures that wait, that are counted at most."""
LEAST_FOR_PACE: Final = 5


@dataclass(frozen=True)
class Progress:
    """``number``: of the picture that is shown, in this sitting. ``all``: with those that wait;
    ``capped``: at least that many. ``pace``: pictures an hour; 0 if not yet known."""

    number: int
    all: int
    capped: bool
    pace: int


def progress(by: Actor, filters: Filters) -> Progress:
    """Return how far the caller is with the pictures of these filters, one of which is shown."""
    times, decided = _sitting(by)
    waiting = queue.heads(decidable(queue.cases(filters, by), by)).order_by()
    left = waiting.values("pk")[: MOST + 1].count()
    shown = max(1, min(left, MOST))
    return Progress(decided + 1, decided + shown, left > MOST, _pace(times, decided))


def _sitting(by: Actor) -> tuple[list[datetime], int]:
    """Return the times of the caller's last commands without a pause, the newest first, and how
    many pictures they decided."""
    now = timezone.now()
    batches = DecisionBatch.objects.filter(by=by.user, undone_at=None, created_at__gt=now - LONGEST)
    rows = (
        batches.filter(decisions__in=Decision.objects.live())
        .order_by("-pk")
        .values_list("pk", "created_at")
        .annotate(pictures=Count("decisions__case__cluster", distinct=True))
    )
    times: list[datetime] = []
    decided = 0
    for _, at, pictures in rows[:MOST]:
        if (times[-1] if times else now) - at > PAUSE:
            break
        times.append(at)
        decided += pictures
    return times, decided


def _pace(times: list[datetime], decided: int) -> int:
    if decided < LEAST_FOR_PACE or len(times) < LEAST_FOR_PACE:
        return 0
    taken = (timezone.now() - times[-1]).total_seconds()
    return round(3600 * decided / max(taken, 1.0))
