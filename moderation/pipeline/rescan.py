"""Scans of what is already here for items of a list: new ones, or a list that reaches further.

A scan first finds what may match: files by their hashes, pictures by PDQ against every stored hash,
copies by the gallery's own searches. Each of these is then screened like a new upload, so that the
verdict is the same. A hash does not tell what its picture looks like turned, only about, so the
search for turned pictures goes a little further than the threshold. Of all that a file shows
beside its first picture no learned vectors are stored, and of the video at the end of a photograph
nothing: where a list needs them, each such image is screened from its original, and those whose
original is gone are counted (``unseen``). A scan that is stopped goes on after the last items, or
images of several pictures, that it has finished.
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

from gallery.imaging.shown_pictures import FULL, VIDEO
from gallery.items.changing import quarantine_items
from gallery.items.item import Item, Status
from gallery.items.kinds import kinds
from gallery.items.models import Image, ImageFingerprint
from gallery.shared import leases
from moderation.access.permissions import Actor
from moderation.cases.models import ReviewCase
from moderation.cases.opening import Recorded
from moderation.lists import freed, policies
from moderation.lists.models import BannedItem, RetroScan
from moderation.lists.retro_scan import CLUSTER
from moderation.lists.verdicts import VECTOR_TYPES, Verdict
from moderation.pipeline import gates
from moderation.screening import rescan_candidates
from moderation.screening.screen import screen
from videos.models import Video

BATCH: Final = 200
"""Items that one pass over the stored hashes looks for."""

ANIMATIONS: Final = 10
"""Images of several frames in one pass: some seconds, as each has up to 64."""

LEASE: Final = timedelta(minutes=2)
"""How long a scan belongs to a worker that says nothing."""

AT_A_TIME: Final = 900.0
"""Seconds after which a scan makes room for other tasks; it goes on in another one."""

UNFINISHED: Final = (RetroScan.State.PENDING, RetroScan.State.RUNNING)

PATIENCE: Final = 30.0
"""Seconds that a scan waits for uploads that may not know of the list yet."""

SCAN: Final = Actor.machine("scan")

logger = logging.getLogger(__name__)


def run(scan_id: int, *, tell: Callable[[RetroScan], None] | None = None) -> bool:
    """Do a scan, or go on with it. Answers whether it is done; else another task goes on.

    Does nothing if somebody else has it. ``tell`` is told after each batch.
    """
    scan = _claim(scan_id)
    if scan is None:
        return False
    until = time.monotonic() + AT_A_TIME
    try:
        if not _uploads_know():
            return _later(scan)
        for step in (_batch, _animations):
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
    """Go on with scans that nobody works on: their worker ended. Answers how many that were."""
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
    """What is still to be looked for."""
    rows = BannedItem.objects.matching().filter(
        list=scan.list_id, pk__gt=max(scan.position, scan.after_item)
    )
    return rows.filter(pk=scan.item_id) if scan.item_id else rows


def _batch(scan: RetroScan) -> bool:
    """Look for some items, and note how far that is; False if there are none left."""
    policy = policies.current().get(scan.list_id)
    some = list(_items(scan).order_by("pk")[:BATCH])
    # A list that was switched off meanwhile, or that allows, hides nothing.
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


def _animations(scan: RetroScan) -> bool:
    """Look through some images that show more than one picture for all items of the scan; False if
    there are none left."""
    policy = policies.current().get(scan.list_id)
    if policy is None or policy.is_allow_list:
        return False
    items = BannedItem.objects.matching().filter(list=scan.list_id, pk__gt=scan.after_item)
    items = items.filter(pk=scan.item_id) if scan.item_id else items
    views = ImageFingerprint.objects.filter(item=OuterRef("pk")).exclude(view=FULL)
    by_models = policy.thresholds.keys() & set(VECTOR_TYPES)
    if not (by_models and items.filter(fingerprints__isnull=False).exists()):
        # Of all but the clip of a photograph the hashes are stored, and were compared.
        if "pdq" not in policy.thresholds:
            return False
        views = views.filter(view=VIDEO)
    some = list(
        Image.objects.filter(
            Exists(views), pk__gt=scan.animation, status__in=rescan_candidates.SCREENED
        ).order_by("pk")[:ANIMATIONS]
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


def screen_freed(sha256: Sequence[str]) -> int:
    """Screen what is here of files that an allow list has freed. Answers how many there were."""
    if not _uploads_know():
        freed.enqueue(sha256)
        return 0
    count = 0
    for model in (kind.model for kind in kinds().values()):
        rows: Any = model._default_manager
        same = rows.filter(sha256__in=sha256, status__in=rescan_candidates.SCREENED).order_by("pk")
        for pk in list(same.values_list("pk", flat=True)):
            screen_again(model, pk)
            count += 1
    return count


def screen_again(model: type[Item], pk: int) -> Recorded | None:
    """Screen what is stored as if it came now; hide what is banned without doubt.

    What people find already stays until somebody has decided, unless it is blocked.
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
    """Wait until every transaction that runs now has ended; False if that takes too long.

    One that publishes may have read the lists before they were changed, and be invisible here as
    long as it runs: neither the gate nor the scan would see the match.
    """
    with connection.cursor() as cursor:
        running = _running(cursor)
        until = time.monotonic() + PATIENCE
        while running & _running(cursor):
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
    return True


def _running(cursor: Any) -> set[str]:
    """The transactions that write now, but for this one."""
    cursor.execute("SELECT pg_snapshot_xip(pg_current_snapshot())::text")
    return {xid for (xid,) in cursor.fetchall()}
