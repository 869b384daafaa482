"""Compare stored images and videos with new items, or again after a threshold was raised.

A rescan finds candidates (``screening.rescan_candidates``), then screens each like a new upload.
The hash of a turned picture can only be estimated from its hash, so turned pictures are searched a
little beyond the threshold. No vectors are stored of a file's further frames, and nothing is stored
of the video in a motion photo. If a list needs them, such images are screened from their originals.
Images without original are counted in ``unseen``. A stopped rescan continues after the last
finished item or image.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from gallery.imaging.decoding.rendered_pictures import FULL_VIEW, VIDEO_VIEW
from gallery.items.changing import quarantine_items
from gallery.items.item import Item, Status
from gallery.items.kinds import kinds
from gallery.items.models import Image, ImageFingerprint
from gallery.shared import leases
from moderation.access.permissions import Actor
from moderation.cases.models import ReviewCase
from moderation.cases.opening import RecordedScreening
from moderation.lists import policies, rescans
from moderation.lists.models import BannedItem, RetroScan
from moderation.lists.rescans import CLUSTER
from moderation.lists.verdicts import VECTOR_TYPES, Verdict
from moderation.pipeline import gates
from moderation.screening import rescan_candidates
from moderation.screening.screen import screen
from videos.models import Video

BATCH_ITEMS: Final = 200
"""Items compared in one pass over the stored hashes."""

BATCH_ANIMATIONS: Final = 10
"""Images with several frames in one batch. It takes some seconds: each has up to 64 frames."""

LEASE: Final = timedelta(minutes=2)
"""How long a rescan belongs to a worker that does not renew the lease."""

TASK_SECONDS: Final = 900.0
"""A rescan that takes longer continues in another task, so that other tasks can run."""

UNFINISHED: Final = (RetroScan.State.PENDING, RetroScan.State.RUNNING)

UPLOADS_WAIT_SECONDS: Final = 30.0
"""How long to wait for uploads that may have read the lists before the change."""

SCAN: Final = Actor.machine("scan")

logger = logging.getLogger(__name__)


def run(scan_id: int, *, tell: Callable[[RetroScan], None] | None = None) -> bool:
    """Start or continue a rescan. Returns whether it is finished; if not, another task continues.

    Does nothing if another worker has the rescan. ``tell`` is called after each batch.
    """
    scan = _claim(scan_id)
    if scan is None:
        return False
    until = time.monotonic() + TASK_SECONDS
    try:
        if not _uploads_know():
            return _later(scan)
        for step in (_screen_items, _screen_animations):
            while step(scan):
                if tell is not None:
                    tell(scan)
                if time.monotonic() > until:
                    return _later(scan)
    except leases.LeaseLost:
        return False
    except Exception as error:
        logger.exception("scan %s failed", scan.pk)
        leases.save(scan, state=RetroScan.State.FAILED, failure=f"{type(error).__name__}: {error}")
        return True
    leases.save(scan, state=RetroScan.State.DONE, finished_at=timezone.now(), claimed_until=None)
    return True


def run_left_over() -> int:
    """Continue rescans whose worker has ended. Returns how many were finished."""
    unfinished = RetroScan.objects.filter(leases.is_free(), state__in=UNFINISHED).order_by("id")
    return sum(run(pk) for pk in unfinished.values_list("pk", flat=True))


def _claim(scan_id: int) -> RetroScan | None:
    due = RetroScan.objects.filter(leases.is_free(), pk=scan_id, state__in=UNFINISHED)
    taken = leases.take(due, LEASE, state=RetroScan.State.RUNNING)
    if not taken:
        return None
    leases.save(taken[0], total=taken[0].done + _items(taken[0]).count())
    return taken[0]


def _later(scan: RetroScan) -> bool:
    with transaction.atomic():
        leases.save(scan, claimed_until=None)
        async_task("moderation.tasks.scan", scan.pk, cluster=CLUSTER)
    return False


def _items(scan: RetroScan) -> QuerySet[BannedItem]:
    rows = BannedItem.objects.matching().filter(
        list=scan.list_id, pk__gt=max(scan.position, scan.after_item)
    )
    return rows.filter(pk=scan.item_id) if scan.item_id else rows


def _screen_items(scan: RetroScan) -> bool:
    """Compare some items and save the progress. Return False if none are left."""
    policy = policies.current().get(scan.list_id)
    some = list(_items(scan).order_by("pk")[:BATCH_ITEMS])
    # The list was switched off meanwhile, or is an allow list: nothing to withhold.
    if policy is None or policy.is_allow_list or not some:
        return False
    found = rescan_candidates.of_items(some, policy, leases.Renewal(scan, LEASE))
    matched = cases = 0
    chosen: list[tuple[type[Item], int]] = [(Image, pk) for pk in sorted(found.images)]
    chosen += [(Video, pk) for pk in sorted(found.videos)]
    for model, pk in chosen:
        recorded = screen_again(model, pk)
        within = set(recorded.matched) & {item.pk for item in some} if recorded else set()
        matched += len(within)
        cases += bool(recorded and recorded.opened)
        leases.renew(scan, LEASE)
    leases.save(
        scan,
        position=some[-1].pk,
        done=scan.done + len(some),
        found=scan.found + matched,
        cases=scan.cases + cases,
    )
    return True


def _screen_animations(scan: RetroScan) -> bool:
    """Screen some images with several frames for all items. Return False if none are left."""
    policy = policies.current().get(scan.list_id)
    if policy is None or policy.is_allow_list:
        return False
    items = BannedItem.objects.matching().filter(list=scan.list_id, pk__gt=scan.after_item)
    items = items.filter(pk=scan.item_id) if scan.item_id else items
    views = ImageFingerprint.objects.filter(item=OuterRef("pk")).exclude(view=FULL_VIEW)
    by_models = policy.thresholds.keys() & set(VECTOR_TYPES)
    if not (by_models and items.filter(fingerprints__isnull=False).exists()):
        # All hashes are stored and were compared, except those of videos in motion photos.
        if "pdq" not in policy.thresholds:
            return False
        views = views.filter(view=VIDEO_VIEW)
    some = list(
        Image.objects.filter(
            Exists(views), pk__gt=scan.animation, status__in=rescan_candidates.SCREENED
        ).order_by("pk")[:BATCH_ANIMATIONS]
    )
    if not some:
        return False
    matched = cases = 0
    for image in some:
        recorded = screen_again(Image, image.pk) if image.original else None
        if recorded is not None:
            matched += items.filter(pk__in=recorded.matched).count()
            cases += recorded.opened
        leases.renew(scan, LEASE)
    leases.save(
        scan,
        animation=some[-1].pk,
        unseen=scan.unseen + sum(not image.original for image in some),
        found=scan.found + matched,
        cases=scan.cases + cases,
    )
    return True


def screen_allowed(sha256: Sequence[str]) -> int:
    """Screen stored files that an allow list has allowed until now. Returns how many."""
    if not _uploads_know():
        rescans.enqueue_allowed(sha256)
        return 0
    count = 0
    for model in (kind.model for kind in kinds().values()):
        rows: Any = model._default_manager
        same = rows.filter(sha256__in=sha256, status__in=rescan_candidates.SCREENED).order_by("pk")
        for pk in list(same.values_list("pk", flat=True)):
            screen_again(model, pk)
            count += 1
    return count


def screen_again(model: type[Item], pk: int) -> RecordedScreening | None:
    """Screen a stored item as if it were uploaded now. Quarantine it if it is blocked.

    Published content stays published during a review.
    """
    lists = policies.current()
    with transaction.atomic():
        rows: Any = model._default_manager
        row = rows.select_for_update().filter(pk=pk, status__in=rescan_candidates.SCREENED).first()
        if row is None or not lists:
            return None
        found = screen(row, lists)
        blocked = found.verdict == Verdict.BLOCK
        found = replace(found, withheld=blocked)
        recorded = gates.record(row, found, origin=ReviewCase.Origin.RETRO_SCAN, by=SCAN)
        if blocked and row.status == Status.READY and recorded.asked:
            quarantine_items(items=rows.filter(pk=pk), by=SCAN.name)
        return recorded


def _uploads_know() -> bool:
    """Wait until every transaction that runs now has ended. Return False if that takes too long.

    A running transaction may publish an item after it read the old lists. The item is invisible
    here until the transaction ends, so neither the gate nor the rescan would see the match.
    """
    with connection.cursor() as cursor:
        running = _running(cursor)
        until = time.monotonic() + UPLOADS_WAIT_SECONDS
        while running & _running(cursor):
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
    return True


def _running(cursor: Any) -> set[str]:
    cursor.execute("SELECT pg_snapshot_xip(pg_current_snapshot())::text")
    return {xid for (xid,) in cursor.fetchall()}
