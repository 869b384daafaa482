"""What must hold afterwards. Each check returns sentences about what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from django.core.files.storage import default_storage
from django.db.models import Count, F
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from gallery.items import orphans
from gallery.items.models import Image
from moderation.audit import trail
from moderation.cases.models import DecisionBatch, ReviewCase
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, RetroScan
from moderation.webhooks.models import Delivery
from tests.chaos.work import ROWS, Accepted
from videos.models import Video

SWEEPS = {
    "gallery.tasks.sweep": "light",
    "videos.tasks.sweep": "video",
    "moderation.tasks.sweep": "lists",
    "moderation.tasks.pick_up_imports": "lists",
    "moderation.tasks.send_webhooks": "lists",
}
"""Tasks that pick up what was left over. The schedule starts them each minute or five; here they
are started more often, so that one need not wait."""
UNFINISHED = (ListImport.State.PENDING, ListImport.State.RUNNING)


def left_over() -> dict[str, int]:
    """What is not finished, by kind."""
    counts = {
        "pending images": Image.objects.filter(status="pending").count(),
        "pending videos": Video.objects.filter(status="pending").count(),
        "imports": ListImport.objects.filter(state__in=UNFINISHED).count(),
        "rescans": RetroScan.objects.filter(state__in=UNFINISHED).count(),
        "webhook messages": Delivery.objects.filter(delivered_at=None, given_up_at=None).count(),
        "due tasks": OrmQ.objects.filter(lock__lte=timezone.now()).count(),
    }
    return {name: count for name, count in counts.items() if count}


def settle(seconds: float) -> float:
    """Wait until nothing is left over. Return how long it took, or raise."""
    begin = time.monotonic()
    next_sweep = 0.0
    while left := left_over():
        passed = time.monotonic() - begin
        if passed > seconds:
            raise AssertionError(f"After {seconds:.0f} s there are still: {left}")
        if passed >= next_sweep:
            next_sweep = passed + 10
            for task, cluster in SWEEPS.items():
                async_task(task, cluster=cluster)
        time.sleep(0.5)
    return time.monotonic() - begin


def images(accepted: Accepted) -> Iterator[str]:
    stored = Image.objects.in_bulk(set(accepted.images.values()))
    for seed, pk in accepted.images.items():
        image = stored.get(pk)
        if image is None:
            yield f"image {pk} (picture {seed}) was accepted and is lost"
        elif image.status == "pending":
            yield f"image {pk} is still pending"
        elif image.status == "failed" and not image.failure:
            yield f"image {pk} failed without a reason"
        elif image.status == "quarantined" and not ReviewCase.objects.filter(image=pk).exists():
            yield f"image {pk} is quarantined without a case"
        elif image.status == "ready" and not default_storage.exists(image.thumbnail.name):
            yield f"image {pk} has lost its thumbnail"
        elif image.original and not default_storage.exists(image.original.name):
            yield f"image {pk} has lost its original"
    if len(set(accepted.images.values())) != len(accepted.images):
        yield "two pictures have one id"
    twice = Image.objects.values("sha256").annotate(n=Count("id")).filter(n__gt=1)
    if count := twice.count():
        yield f"{count} pictures are stored twice"


def videos(accepted: Accepted) -> Iterator[str]:
    stored = Video.objects.in_bulk(set(accepted.videos.values()))
    for seed, pk in accepted.videos.items():
        video = stored.get(pk)
        if video is None:
            yield f"video {pk} (clip {seed}) was accepted and is lost"
        elif video.status == "failed" and not video.failure:
            yield f"video {pk} failed without a reason"
        elif video.status not in ("ready", "failed"):
            yield f"video {pk} is {video.status}"
        elif video.status == "ready" and not video.frames.exists():
            yield f"video {pk} has lost its frames"
        elif video.original and not default_storage.exists(video.original.name):
            yield f"video {pk} has lost its original"
    if len(set(accepted.videos.values())) != len(accepted.videos):
        yield "two clips have one id"
    twice = Video.objects.values("sha256").annotate(n=Count("id")).filter(n__gt=1)
    if count := twice.count():
        yield f"{count} videos are stored twice"


def imports(accepted: Accepted) -> Iterator[str]:
    for pk, source in accepted.imports.items():
        row = ListImport.objects.filter(pk=pk).first()
        if row is None:
            yield f"import {pk} was accepted and is lost"
        elif row.state == ListImport.State.FAILED and row.failure:
            continue
        elif row.state != ListImport.State.DONE:
            yield f"import {pk} is {row.state}"
        elif (count := BannedItem.objects.filter(source=source).count()) != ROWS:
            yield f"import {pk} made {count} items of {ROWS} rows"


def cases(accepted: Accepted) -> Iterator[str]:
    if count := ReviewCase.objects.filter(matches=None).count():
        yield f"{count} cases have no match"
    for pk, asked in accepted.batches.items():
        batch = DecisionBatch.objects.filter(pk=pk).first()
        if batch is None:
            yield f"decisions {pk} were accepted and are lost"
        elif sorted(batch.decisions.values_list("case", flat=True)) != sorted(asked):
            yield f"decisions {pk} are not those of the cases asked for"
    decided_twice = (
        ReviewCase.objects.filter(decisions__undone_at=None)
        .values("id", by=F("decisions__by"))
        .annotate(n=Count("decisions"))
        .filter(n__gt=1)
    )
    if count := decided_twice.count():
        yield f"{count} cases were decided twice by one person"


def rescans(accepted: Accepted) -> Iterator[str]:
    for scan in RetroScan.objects.exclude(state=RetroScan.State.DONE):
        yield f"rescan {scan.pk} is {scan.state}: {scan.failure}"
    for pk in accepted.scanned:
        if not ReviewCase.objects.filter(matches__image=pk).exists():
            yield f"image {pk} is on the list and has no case"


def webhooks(arrived: Callable[[], set[str]]) -> Iterator[str]:
    keys = arrived()
    for delivery in Delivery.objects.exclude(delivered_at=None):
        if f"msg_{delivery.pk}" not in keys:
            yield f"message {delivery.pk} counts as delivered and has not arrived"
    for pk in Image.objects.filter(status__in=["ready"]).values_list("pk", flat=True):
        if not Delivery.objects.filter(event="item.ready", payload__id=pk).exists():
            yield f"no message says that image {pk} is ready"


def audit() -> Iterator[str]:
    for broken in trail.find_breaks():
        yield f"audit event {broken.event_id}: {broken.reason}"


def files() -> tuple[int, list[str]]:
    """Return how many files the daily task would remove, and what is wrong after it ran."""
    grace, orphans.GRACE = orphans.GRACE, timedelta(0)  # type: ignore[misc]
    try:
        removed = orphans.remove(anyway=True)
        return removed, [f"{name} belongs to nothing" for name in orphans.find()[0]]
    finally:
        orphans.GRACE = grace  # type: ignore[misc]
