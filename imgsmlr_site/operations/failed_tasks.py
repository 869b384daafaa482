"""Failed tasks, done again."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django_q.models import Task
from django_q.tasks import async_task

from moderation.access.permissions import Actor
from moderation.audit import trail

MAX_TASKS = 1000
"""Tasks that are queued again at once."""


@transaction.atomic
def retry(*, by: Actor, tasks: QuerySet[Task]) -> int:
    """Queue the tasks again. Their records as failures go: they may fail once more."""
    chosen = list(tasks.order_by("stopped").select_for_update()[:MAX_TASKS])
    for task in chosen:
        facts = {"hook": task.hook, "group": task.group, "cluster": task.cluster}
        async_task(task.func, *(task.args or ()), **facts, **(task.kwargs or {}))
    Task.objects.filter(pk__in=[task.pk for task in chosen]).delete()
    if chosen:
        trail.record(by=by.name, verb="task.retried", subject=Task, count=len(chosen))
    return len(chosen)
