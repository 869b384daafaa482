"""Health checks: ``/healthz`` says that the process answers, ``/readyz`` that it can work.

Both are open to everyone, because probes have no keys. They show no addresses, paths or secrets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from gallery.search import image_search, index_feeding
from gallery.search.match_types import MATCH_TYPES
from gallery.search.milvus_index import MILVUS
from imgsmlr_site.checks import extension_problem
from imgsmlr_site.models import WorkerCluster

STALLED_AFTER = 60.0
"""Seconds that a due task may wait while no worker runs a task of its queue."""

INDEX_LAG = 300.0
"""Seconds that a change may wait until ``/readyz`` says so. It is fed each minute."""

SEEN_WITHIN = timedelta(seconds=30)
"""A cluster of workers that has not written for longer does not run."""

QUEUE = """
SELECT count(*) FILTER (WHERE lock <= now()), count(*) FILTER (WHERE lock > now()),
       coalesce(extract(epoch FROM now() - min(lock)), 0)::float
FROM django_q_ormq WHERE key = %s
"""


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue of one cluster: due tasks, tasks that were taken, seconds the oldest due task has
    waited; when the clusters that run were started, and seconds since one of them had a task."""

    name: str
    due: int
    working: int
    oldest: float
    started: Sequence[datetime]
    still: float

    @property
    def stalled(self) -> bool:
        """Whether tasks wait and no worker takes any. A long queue that moves is not stalled.

        Tasks that were taken prove nothing: the worker may have been killed since.
        """
        return self.oldest > STALLED_AFTER and self.still > STALLED_AFTER


def queues() -> list[Queue]:
    """Return the queue of each cluster. A task's ``lock`` is the time when it is due (again)."""
    clusters: dict[str, Any] = settings.Q_CLUSTER
    return [queue(name) for name in (clusters["name"], *clusters["ALT_CLUSTERS"])]


def queue(name: str) -> Queue:
    with connection.cursor() as cursor:
        cursor.execute(QUEUE, [name])
        due, working, oldest = cursor.fetchone()
    now = timezone.now()
    running = WorkerCluster.objects.filter(queue=name, seen_at__gt=now - SEEN_WITHIN)
    times = list(running.values_list("started_at", "moved_at"))
    still = min(((now - moved).total_seconds() for _, moved in times), default=math.inf)
    return Queue(name, due, working, max(oldest, 0.0), [started for started, _ in times], still)


_migrated = False


def migrated() -> bool:
    """Whether every migration is applied. True is cached, because reading migrations is slow."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def problems() -> dict[str, str]:
    """Return the problems that stop the service: part → sentence. Empty if it is ready."""
    try:
        found = {}
        if extension := extension_problem():
            found["extension"] = " ".join(extension)
        if not migrated():
            found["migrations"] = "Migrations are missing: run manage.py migrate."
        elif stalled := [queue.name for queue in queues() if queue.stalled]:
            found["queue"] = f"No worker takes tasks of: {', '.join(stalled)}. Start manage.py up."
        return found
    except DatabaseError:
        return {"database": "The database does not answer: see DATABASE_URL and the log."}


def index_state() -> str:
    """Say whether the index outside of PostgreSQL is up to date: "ok", or a sentence. If it is not,
    searches find all the same."""
    behind = index_feeding.lag()
    if not MILVUS.answers():
        return "Milvus does not answer: PostgreSQL proposes images in its place."
    if behind.incomplete:
        names = ", ".join(f"{match_type} ({version})" for match_type, version in behind.incomplete)
        return f"Milvus is being filled: PostgreSQL proposes images by {names}."
    if behind.seconds > INDEX_LAG:
        return f"Changes wait to be sent to Milvus, the oldest for {behind.seconds:.0f} s."
    return "ok"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200, or 503 with the problem of each part.

    A match type without weights does not make the service unready, because the others work.
    ``/api/v1/status/`` says why it is missing. Nor does an index that is behind: ``index_state``.
    """
    found = problems()
    parts = ("database", "extension", "migrations", "queue")
    body = {part: found.get(part, "ok") for part in parts}
    if "database" in found:
        body = {"database": found["database"]}
    elif not found:
        body["index"] = index_state()
    reasons = image_search.unavailable_match_types()
    return JsonResponse(
        {
            "status": "unavailable" if found else "ok",
            **body,
            "match_types": {n: "unavailable" if n in reasons else "ok" for n in MATCH_TYPES},
        },
        status=503 if found else 200,
    )
