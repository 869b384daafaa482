"""Screen stored images and videos again, each as if it were uploaded now.

Attempts are counted before they begin. An item that ends its worker three times is given up: it is
withheld, with a case that says why, so that it neither stops others nor passes unseen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from gallery.items.changing import quarantine_items
from gallery.items.item import Item, Status
from gallery.items.kinds import kind_of, kinds
from gallery.shared import leases
from moderation.access.permissions import Actor
from moderation.cases.models import ReviewCase
from moderation.cases.opening import RecordedScreening
from moderation.lists import policies, rescans
from moderation.lists.models import Rescreening
from moderation.lists.verdicts import Verdict
from moderation.pipeline import gates
from moderation.screening import rescan_candidates
from moderation.screening.screen import screen, unscreened

MAX_ATTEMPTS: Final = 3
ENDS_WORKERS: Final = "Screening it ended its worker three times, so it was not compared."

LEASE: Final = timedelta(minutes=10)
"""How long an item belongs to a worker. No screening of a stored item takes that long."""

TASK_SECONDS: Final = 300.0
"""After this time the sweep continues, so that other tasks can run."""

UPLOADS_WAIT_SECONDS: Final = 30.0
"""How long to wait for uploads that may have read the lists before the change."""

NOT_ITS_FAULT: Final = (OSError, OperationalError, InterfaceError)
"""What storage, decoders or database lack for a time: the sweep continues."""

SCAN: Final = Actor.machine("scan")


def run() -> int:
    """Screen the items that wait. Returns how many. Safe to run twice and in parallel."""
    count = 0
    until = time.monotonic() + TASK_SECONDS
    while time.monotonic() < until:
        due = Rescreening.objects.filter(leases.is_free(), queued=True).order_by("id")
        taken = leases.take(due, LEASE)
        if not taken:
            break
        _screen(taken[0])
        count += 1
    return count


def screen_allowed(sha256: Sequence[str]) -> int:
    """Screen stored files that an allow list has allowed until now. Returns how many."""
    if not uploads_know():
        rescans.enqueue_allowed(sha256)
        return 0
    with transaction.atomic():
        for kind in kinds().values():
            rows: Any = kind.model._default_manager
            same = rows.filter(sha256__in=sha256, status__in=rescan_candidates.SCREENED)
            rescans.wait(kind.name, same.order_by("pk").values_list("pk", flat=True))
    return run()


def screen_counted(model: type[Item], pk: int) -> RecordedScreening | None:
    """Screen a stored item in the course of a scan, which tries again if it is stopped."""
    row, _ = Rescreening.objects.get_or_create(
        kind=kind_of(model).name, item=pk, defaults={"queued": False}
    )
    row.attempts, row.claimed_until = row.attempts + 1, timezone.now() + LEASE
    row.save(update_fields=["attempts", "claimed_until"])
    return _screen(row)


def _screen(row: Rescreening) -> RecordedScreening | None:
    try:
        recorded = _screen_again(row)
    except NOT_ITS_FAULT:
        leases.give_back(row)
        raise
    # If it is to be screened once more, as lists changed since, the lease is no longer this one.
    Rescreening.objects.filter(pk=row.pk, claimed_until=row.claimed_until).delete()
    return recorded


def _screen_again(about: Rescreening) -> RecordedScreening | None:
    """Quarantine the item if it is blocked. Published content stays published during a review."""
    lists = policies.current()
    with transaction.atomic():
        rows: Any = kinds()[about.kind].model._default_manager
        chosen = rows.filter(pk=about.item, status__in=rescan_candidates.SCREENED)
        row = chosen.select_for_update().first()
        if row is None or not lists:
            return None
        given_up = about.attempts > MAX_ATTEMPTS
        found = unscreened(lists, ENDS_WORKERS) if given_up else screen(row, lists)
        if not given_up:
            found = replace(found, withheld=found.verdict == Verdict.BLOCK)
        recorded = gates.record(row, found, origin=ReviewCase.Origin.RETRO_SCAN, by=SCAN)
        if found.withheld and row.status == Status.READY and (given_up or recorded.asked):
            quarantine_items(items=chosen, by=SCAN.name)
        return recorded


def uploads_know() -> bool:
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
