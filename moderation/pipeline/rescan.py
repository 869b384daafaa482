"""Compare stored images and videos with new items, or again after a threshold was raised.

A rescan finds candidates (``screening.rescan_candidates``), then screens each like a new upload.
The hash of a turned picture can only be estimated from its hash, so turned pictures are searched a
little beyond the threshold. No vectors are stored of a file's further frames, and nothing is stored
of the video in a motion photo. If a list needs them, such images are screened from their originals.
Images without original are counted in ``unseen``. A stopped rescan continues after the last
finished item or image.

Small rescans of one list that wait at the same time run together: their items are compared in one
pass, and each candidate is screened once for all of them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from gallery.imaging.decoding.rendered_pictures import FULL_VIEW, VIDEO_VIEW
from gallery.items.item import Item
from gallery.items.models import Image, ImageFingerprint
from gallery.shared import leases
from moderation.cases.opening import RecordedScreening
from moderation.lists import policies
from moderation.lists.models import BannedItem, RetroScan
from moderation.lists.policies import Policy
from moderation.lists.rescans import CLUSTER
from moderation.lists.verdicts import VECTOR_TYPES
from moderation.pipeline.asking import ask_about_stored
from moderation.pipeline.rescreening import NOT_ITS_FAULT, screen_counted, uploads_know
from moderation.screening import rescan_candidates
from videos.models import Video

BATCH_ITEMS: Final = 200
"""Items compared in one pass over the stored hashes. Rescans with fewer items run together."""

BATCH_ANIMATIONS: Final = 10
"""Images with several frames in one batch. It takes some seconds: each has up to 64 frames."""

REMEMBERED: Final = 100_000
"""Images and videos that rescans which run together remember as screened: 20 MB."""

LEASE: Final = timedelta(minutes=2)
"""How long a rescan belongs to a worker that does not renew the lease."""

TASK_SECONDS: Final = 900.0
"""A rescan that takes longer continues in another task, so that other tasks can run."""

UNFINISHED: Final = (RetroScan.State.PENDING, RetroScan.State.RUNNING)

logger = logging.getLogger(__name__)


def run(scan_id: int, *, tell: Callable[[RetroScan], None] | None = None) -> bool:
    """Start or continue a rescan. Returns whether it is finished; if not, another task continues.

    Does nothing if another worker has the rescan. ``tell`` is called after each batch.
    """
    scan = _claim(scan_id)
    if scan is None:
        return False
    if scan.asked is not None:
        _ask(scan)
    else:
        _run([scan, *_claim_others(scan)], tell)
    return scan.state not in UNFINISHED


def run_left_over() -> int:
    """Continue rescans whose worker has ended. Returns how many were finished."""
    finished = 0
    unfinished = RetroScan.objects.filter(leases.is_free(), state__in=UNFINISHED).order_by("id")
    for pk in list(unfinished.values_list("pk", flat=True)):
        # It may have run together with an earlier one.
        if (scan := _claim(pk)) is not None:
            scans = [scan]
            if scan.asked is not None:
                _ask(scan)
            else:
                scans += _claim_others(scan)
                _run(scans)
            finished += sum(one.state not in UNFINISHED for one in scans)
    return finished


def _claim(scan_id: int) -> RetroScan | None:
    due = RetroScan.objects.filter(leases.is_free(), pk=scan_id, state__in=UNFINISHED)
    taken = leases.take(due, LEASE, state=RetroScan.State.RUNNING)
    if not taken:
        return None
    if taken[0].asked is None:
        leases.save(taken[0], total=taken[0].done + _items(taken[0]).count())
    return taken[0]


def _claim_others(scan: RetroScan) -> list[RetroScan]:
    """Claim the other rescans of the list whose items fit into one batch with those of this one."""
    room = BATCH_ITEMS - (scan.total - scan.done)
    waiting = RetroScan.objects.filter(
        leases.is_free(), list=scan.list_id, state__in=UNFINISHED, asked__isnull=True
    )
    claimed = []
    for other in waiting.order_by("id")[: max(0, room)]:
        count = _items(other).count()
        if count <= room and (taken := _claim(other.pk)) is not None:
            claimed.append(taken)
            room -= count
    return claimed


def _ask(scan: RetroScan) -> None:
    try:
        ask_about_stored(scan)
    except leases.LeaseLost:
        return
    except NOT_ITS_FAULT:
        raise
    except Exception as error:
        logger.exception("scan %s failed", scan.pk)
        _fail([scan], error)


def _run(scans: Sequence[RetroScan], tell: Callable[[RetroScan], None] | None = None) -> None:
    """Run claimed rescans of one list until they are finished, or for ``TASK_SECONDS``."""
    group = _Group(scans)
    until = time.monotonic() + TASK_SECONDS
    try:
        if not uploads_know():
            return group.later()
        for step in (_screen_items, _screen_animations):
            while step(group):
                if tell is not None:
                    tell(scans[0])
                if time.monotonic() > until:
                    return group.later()
        group.finish(RetroScan.State.DONE, finished_at=timezone.now(), claimed_until=None)
    except leases.LeaseLost:
        return
    except NOT_ITS_FAULT:
        raise
    except Exception as error:
        logger.exception("scans %s failed", [scan.pk for scan in group.scans])
        if len(group.scans) > 1:
            # One of them may be the reason. The others must not fail with it.
            for scan in list(group.scans):
                _run([scan])
            return
        _fail(group.scans, error)


def _fail(scans: Sequence[RetroScan], error: Exception) -> None:
    for scan in scans:
        with contextlib.suppress(leases.LeaseLost):
            failure = f"{type(error).__name__}: {error}"
            leases.save(scan, state=RetroScan.State.FAILED, failure=failure)


class _Group:
    """Claimed rescans of one list that run together; ``scans``: those whose lease is not lost."""

    def __init__(self, scans: Iterable[RetroScan]) -> None:
        self.scans = list(scans)
        self.list_id = self.scans[0].list_id
        self._renewals = {scan.pk: leases.Renewal(scan, LEASE) for scan in self.scans}
        self._matched: dict[tuple[type[Item], int], Sequence[int]] = {}

    def tick(self) -> None:
        """Call it every few seconds. Raises ``LeaseLost`` if no lease is left."""
        for scan in list(self.scans):
            try:
                self._renewals[scan.pk]()
            except leases.LeaseLost:
                self._drop(scan)

    def save(self, scan: RetroScan, **values: Any) -> None:
        try:
            leases.save(scan, **values)
        except leases.LeaseLost:
            self._drop(scan)

    def _drop(self, scan: RetroScan) -> None:
        self.scans.remove(scan)
        if not self.scans:
            raise leases.LeaseLost

    def finish(self, state: RetroScan.State, **values: Any) -> None:
        for scan in list(self.scans):
            self.save(scan, state=state, **values)

    def later(self) -> None:
        with transaction.atomic():
            for scan in list(self.scans):
                self.save(scan, claimed_until=None)
            async_task("moderation.tasks.scan", self.scans[0].pk, cluster=CLUSTER)

    def screen(self, model: type[Item], pk: int) -> RecordedScreening | None:
        """Screen a stored item, once: all items of these rescans were on their list before."""
        key = model, pk
        if key in self._matched:
            return RecordedScreening(matched=self._matched[key])
        recorded = screen_counted(model, pk)
        if recorded is not None:
            if len(self._matched) >= REMEMBERED:
                self._matched.clear()
            self._matched[key] = recorded.matched
        self.tick()
        return recorded


class _Results:
    """What some screenings found: ``found`` and ``cases`` for each rescan."""

    def __init__(self) -> None:
        self._found, self._cases = Counter[int](), Counter[int]()

    def add(
        self, recorded: RecordedScreening | None, own: Sequence[tuple[RetroScan, Iterable[int]]]
    ) -> None:
        """``own``: the items of each rescan. A new case counts for the first that has a match."""
        if recorded is None:
            return
        hits = {scan.pk: len({*recorded.matched} & {*items}) for scan, items in own}
        self._found.update(hits)
        if recorded.opened:
            self._cases[next((pk for pk, count in hits.items() if count), own[0][0].pk)] += 1

    def of(self, scan: RetroScan) -> dict[str, int]:
        return {
            "found": scan.found + self._found[scan.pk],
            "cases": scan.cases + self._cases[scan.pk],
        }


def _items(scan: RetroScan, *, left: bool = True) -> QuerySet[BannedItem]:
    """Return the items of a rescan. ``left``: only those that were not compared yet."""
    after = max(scan.position, scan.after_item) if left else scan.after_item
    rows = BannedItem.objects.matching().filter(list=scan.list_id, pk__gt=after)
    return rows.filter(pk=scan.item_id) if scan.item_id else rows


def _screen_items(group: _Group) -> bool:
    """Compare some items and save the progress. Return False if none are left."""
    policy = policies.current().get(group.list_id)
    # The list was switched off meanwhile, or is an allow list: nothing to withhold.
    if policy is None or policy.is_allow_list:
        return False
    items: dict[int, BannedItem] = {}
    batch: list[tuple[RetroScan, list[int]]] = []
    for scan in group.scans:
        some = list(_items(scan).order_by("pk")[: max(0, BATCH_ITEMS - len(items))])
        if some:
            items |= {item.pk: item for item in some}
            batch.append((scan, [item.pk for item in some]))
    if not batch:
        return False
    found = rescan_candidates.of_items(list(items.values()), policy, group.tick)
    chosen: list[tuple[type[Item], int]] = [(Image, pk) for pk in sorted(found.images)]
    chosen += [(Video, pk) for pk in sorted(found.videos)]
    results = _Results()
    for model, pk in chosen:
        results.add(group.screen(model, pk), batch)
    for scan, own in batch:
        group.save(scan, position=own[-1], done=scan.done + len(own), **results.of(scan))
    return True


def _screen_animations(group: _Group) -> bool:
    """Screen some images with several frames for all items. Return False if none are left."""
    policy = policies.current().get(group.list_id)
    if policy is None or policy.is_allow_list:
        return False
    every, of_videos = list[RetroScan](), list[RetroScan]()
    for scan in group.scans:
        (every if _needs_frames(scan, policy) else of_videos).append(scan)
    views = ImageFingerprint.objects.filter(item=OuterRef("pk")).exclude(view=FULL_VIEW)
    if every and _screen_some(group, every, views):
        return True
    # All hashes are stored and were compared, except those of videos in motion photos.
    if not of_videos or "pdq" not in policy.thresholds:
        return False
    return _screen_some(group, of_videos, views.filter(view=VIDEO_VIEW))


def _needs_frames(scan: RetroScan, policy: Policy) -> bool:
    """Return whether models compare its items; the stored vectors show first frames only."""
    by_models = policy.thresholds.keys() & set(VECTOR_TYPES)
    return bool(by_models) and _items(scan, left=False).filter(fingerprints__isnull=False).exists()


def _screen_some(
    group: _Group, scans: Sequence[RetroScan], views: QuerySet[ImageFingerprint]
) -> bool:
    reached = min(scan.animation for scan in scans)
    rows = Image.objects.filter(
        Exists(views), pk__gt=reached, status__in=rescan_candidates.SCREENED
    )
    some = list(rows.order_by("pk")[:BATCH_ANIMATIONS])
    if not some:
        return False
    results = _Results()
    for image in some:
        recorded = group.screen(Image, image.pk) if image.original else None
        matched = recorded.matched if recorded else ()
        due = [scan for scan in scans if scan.animation < image.pk]
        results.add(recorded, [(scan, _matched_items(scan, matched)) for scan in due])
    for scan in scans:
        group.save(
            scan,
            animation=max(scan.animation, some[-1].pk),
            unseen=scan.unseen
            + sum(not image.original for image in some if image.pk > scan.animation),
            **results.of(scan),
        )
    return True


def _matched_items(scan: RetroScan, matched: Sequence[int]) -> list[int]:
    if not matched:
        return []
    return list(_items(scan, left=False).filter(pk__in=matched).values_list("pk", flat=True))
