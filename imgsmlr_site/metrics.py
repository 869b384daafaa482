"""``/metrics`` in Prometheus' text format. Requests are counted live, the database per scrape.

If ``PROMETHEUS_MULTIPROC_DIR`` is set, the counts of all web processes are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Histogram,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from gallery.items import vector_indexes
from gallery.search import index_feeding, replica
from gallery.search.models import IndexChange
from gallery.shared import counters
from imgsmlr_site.access import Access
from imgsmlr_site.health import queues
from imgsmlr_site.models import Scope
from imgsmlr_site.status import image_counts, video_counts
from moderation.drill import running as drill
from moderation.drill.models import Drill
from moderation.exchanges import health as exchanges
from moderation.pipeline import near_checks
from moderation.reports.models import Notice
from moderation.webhooks import delivery

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Time to answer, by view, method and status.",
    ["view", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class MetricsMiddleware:
    """Times each request. It must come early, to count requests that other middleware refuses."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        view = (match.view_name or match.route) if match else "none"
        # A client can send any word as a method, and each would be a new time series.
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(view, method, response.status_code).observe(perf_counter() - start)
        return response


COUNTERS = {
    "item_failures": ("Images and videos that failed, by the code of the error.", ["kind", "code"]),
    "remote_questions": ("Questions to remote services that match.", ["exchange", "outcome"]),
    "index_failures": ("Searches for which PostgreSQL proposed in Milvus' place.", ["outcome"]),
    "list_matches": ("Matches with items of lists.", ["list", "match_type", "verdict"]),
}
"""Names of ``gallery.shared.counters`` → meaning, labels."""
DURATIONS = {
    "task_duration_seconds": ("Time of tasks in the workers.", ["task", "outcome"]),
    "item_publish_seconds": ("Time from adding an item to publishing or holding it.", ["kind"]),
}


class DatabaseCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        """Yield items by status, each queue, counts of all processes, the messages that wait for
        each webhook, the state of exchanges, and the clients that try variants of an item."""
        for name, counted in (("images", image_counts()), ("videos", video_counts())):
            items = GaugeMetricFamily(name, f"{name.title()} by status.", labels=["status"])
            for status, count in counted.items():
                items.add_metric([status], count)
            yield items
        yield from _queues()
        yield from _replica()
        for name, (meaning, labels) in COUNTERS.items():
            counter = CounterMetricFamily(name, meaning, labels=labels)
            for values, number, _ in counters.read(name):
                counter.add_metric(values, number)
            yield counter
        for name, (meaning, labels) in DURATIONS.items():
            summary = SummaryMetricFamily(name, meaning, labels=labels)
            for values, number, seconds in counters.read(name):
                summary.add_metric(values, number, seconds)
            yield summary
        yield from _webhooks()
        yield from _exchanges()
        yield from _drill()
        yield from _notices()
        yield from _index()
        yield from _vector_indexes()
        yield GaugeMetricFamily(
            "near_check_alarms",
            "Clients and items with more variants tried in a day than NEAR_CHECKS.",
            value=near_checks.alarms().count(),
        )


def _replica() -> Iterator[Metric]:
    """No value while it is not asked."""
    lag = GaugeMetricFamily(
        "search_replica_lag_seconds",
        "How far the replica for searches is behind.",
    )
    if (seconds := replica.lag()) is not None:
        lag.add_metric([], seconds)
    yield lag


def _queues() -> Iterator[Metric]:
    due = GaugeMetricFamily("queue_due_tasks", "Tasks that wait.", labels=["queue"])
    working = GaugeMetricFamily("queue_working_tasks", "Tasks in work.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "queue_oldest_due_seconds", "How long the oldest waits.", labels=["queue"]
    )
    clusters = GaugeMetricFamily("worker_clusters", "Clusters that run.", labels=["queue"])
    started = GaugeMetricFamily(
        "worker_cluster_start_time_seconds",
        "When the newest cluster of the queue was started, as a Unix time.",
        labels=["queue"],
    )
    for queue in queues():
        due.add_metric([queue.name], queue.due)
        working.add_metric([queue.name], queue.working)
        oldest.add_metric([queue.name], queue.oldest)
        clusters.add_metric([queue.name], len(queue.started))
        if queue.started:
            started.add_metric([queue.name], max(queue.started).timestamp())
    yield from (due, working, oldest, clusters, started)


def _webhooks() -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "webhook_waiting_messages", "Messages that were not delivered yet.", labels=["webhook"]
    )
    oldest = GaugeMetricFamily(
        "webhook_oldest_waiting_seconds", "How long the oldest waits.", labels=["webhook"]
    )
    for name, number, seconds in delivery.waiting():
        waiting.add_metric([name], number)
        oldest.add_metric([name], seconds)
    yield from (waiting, oldest)


def _exchanges() -> Iterator[Metric]:
    failures = GaugeMetricFamily(
        "exchange_failures", "Failures in a row, of an enabled exchange.", labels=["exchange"]
    )
    success = GaugeMetricFamily(
        "exchange_success_time_seconds",
        "When it was last pulled from, or answered, as a Unix time.",
        labels=["exchange"],
    )
    waiting = GaugeMetricFamily(
        "exchange_waiting_feedback", "Items that it is to be told about.", labels=["exchange"]
    )
    for name, failed, at, untold in exchanges.gauges():
        failures.add_metric([name], failed)
        waiting.add_metric([name], untold)
        if at is not None:
            success.add_metric([name], at)
    yield from (failures, success, waiting)


def _drill() -> Iterator[Metric]:
    """The last drill that ended; no values where none has run."""
    passed = GaugeMetricFamily("drill_passed", "Whether the last drill found all its copies.")
    ended = GaugeMetricFamily(
        "drill_end_time_seconds", "When the last drill ended, as a Unix time."
    )
    last = drill.last_ended()
    if last is not None and last.ended_at is not None:
        passed.add_metric([], int(last.state == Drill.State.PASSED))
        ended.add_metric([], last.ended_at.timestamp())
    yield from (passed, ended)


def _notices() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "notices_open", "Notices that are not decided.", value=Notice.objects.open().count()
    )
    yield GaugeMetricFamily(
        "notices_overdue",
        "Notices that were not decided within 48 hours.",
        value=Notice.objects.overdue().count(),
    )


def _index() -> Iterator[Metric]:
    """The index in Milvus; all 0 without one."""
    behind = index_feeding.lag()
    yield GaugeMetricFamily(
        "index_waiting_changes",
        "Changes that were not sent to Milvus yet.",
        value=IndexChange.objects.count(),
    )
    yield GaugeMetricFamily("index_lag_seconds", "How long the oldest waits.", value=behind.seconds)
    yield GaugeMetricFamily(
        "index_incomplete_collections",
        "Collections of Milvus that are being filled.",
        value=len(behind.incomplete),
    )


def _vector_indexes() -> Iterator[Metric]:
    """PostgreSQL's, and the limits that they may outgrow."""
    sizes = GaugeMetricFamily("vector_index_bytes", "Size on disk.", labels=["index"])
    for index in vector_indexes.hnsw_indexes():
        sizes.add_metric([index.name], index.size)
    yield sizes
    for name in ("shared_buffers", "maintenance_work_mem"):
        yield GaugeMetricFamily(
            f"postgres_{name}_bytes",
            f"{name} of PostgreSQL.",
            value=vector_indexes.server_bytes(name),
        )


def may_read_metrics(access: Access) -> bool:
    """Allow open networks, staff, and keys with the search scope."""
    if access.via == "session":
        return access.user is not None and access.user.is_staff
    return access.allows(Scope.SEARCH)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    access: Access = request.access  # type: ignore[attr-defined]
    if not may_read_metrics(access):
        raise access.missing("the scope 'search' or a staff login")
    database = CollectorRegistry()
    database.register(DatabaseCollector())
    processes = REGISTRY
    if settings.PROMETHEUS_MULTIPROC_DIR:
        processes = CollectorRegistry()
        MultiProcessCollector(processes)
    body = generate_latest(processes) + generate_latest(database)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)
