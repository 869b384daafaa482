"""Scheduled tasks, as rows of django-q2."""

from __future__ import annotations

from typing import Any, NamedTuple


class Scheduled(NamedTuple):
    """A task by its dotted name, the minutes between runs, and the cluster that runs it."""

    name: str
    task: str
    minutes: int
    cluster: str | None = None


def make_schedules(sender: Any, **kwargs: Any) -> None:
    """Create the missing rows of an app's ``schedules`` after migrations.

    Existing rows keep an administrator's changes.
    """
    from django_q.models import Schedule

    for name, task, minutes, cluster in sender.schedules:
        Schedule.objects.get_or_create(
            name=name,
            defaults={
                "func": task,
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
                "cluster": cluster,
            },
        )
