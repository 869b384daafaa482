"""Ask the remote services of a list about all stored hashes, after one was switched on.

Hashes are asked about in the order of their rows, of videos those of the frames that are stored.
What a service knows is then screened like a new upload. A scan asks ``QUESTIONS`` times a minute at
most, and waits while a service does not answer: the sweep continues it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np
from django.db import connection
from django.utils import timezone

from gallery.imaging.descriptors.base import HASHES_VERSION, PIXELS_VERSION
from gallery.items.item import Item
from gallery.items.models import Image
from gallery.shared import leases
from gallery.shared.binary_copy import BIGINT, BITS_256, read_rows
from moderation.exchanges import matching
from moderation.exchanges.clients.base import ServiceFailed
from moderation.exchanges.models import Exchange
from moderation.lists import policies
from moderation.lists.models import BannedItem, RetroScan
from moderation.pipeline.rescreening import screen_counted, uploads_know
from videos.models import FRAME_VERSION, Video

QUESTIONS: Final = 50
"""A minute; each asks about ``matching.AT_ONCE`` hashes. Uploads are asked about meanwhile."""

PAUSE: Final = timedelta(seconds=50)
"""Less than the minute between two sweeps."""

LEASE: Final = timedelta(minutes=2)
SWITCHED_OFF: Final = "The service was switched off, or the list no longer compares by pdq."


class _Source(NamedTuple):
    table: str
    versions: tuple[str, ...]
    model: type[Item]


SOURCES: Final = {
    "images": _Source("gallery_imagefingerprint", (PIXELS_VERSION, HASHES_VERSION), Image),
    "videos": _Source("videos_frame", (FRAME_VERSION,), Video),
}
_CONDITION: Final = "id > %(after)s AND pdq IS NOT NULL AND version = ANY(%(versions)s)"


def ask_about_stored(scan: RetroScan) -> None:
    """Continue a claimed scan for a minute. Raises ``LeaseLost``."""
    if not scan.asked and not _begin(scan):
        return leases.save(scan, claimed_until=timezone.now() + PAUSE)
    renewal = leases.Renewal(scan, LEASE)
    for _ in range(QUESTIONS):
        services = _services(scan)
        if not services:
            return _end(scan, RetroScan.State.FAILED, SWITCHED_OFF)
        name = next((name for name in SOURCES if _is_left(scan, name)), None)
        if name is None:
            return _end(scan, RetroScan.State.DONE)
        try:
            _ask(scan, name, services, renewal)
        except ServiceFailed as error:
            until = timezone.now() + PAUSE
            return leases.save(scan, failure=error.message, claimed_until=until)
    leases.save(scan, claimed_until=timezone.now() + PAUSE)


def _begin(scan: RetroScan) -> bool:
    """Note what is stored now; uploads are asked about from here on. Return False if some uploads
    may not know that the service was switched on."""
    if not uploads_know():
        return False
    asked, total = {}, 0
    for name, source in SOURCES.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*), coalesce(max(id), 0) FROM {source.table} WHERE {_CONDITION}",  # noqa: S608
                {"after": 0, "versions": list(source.versions)},
            )
            count, last = cursor.fetchone()
        asked[name] = [0, last]
        total += count
    leases.save(scan, asked=asked, total=total, done=0)
    return True


def _services(scan: RetroScan) -> Sequence[Exchange]:
    policy = policies.current().get(scan.list_id)
    usable = policy is not None and "pdq" in policy.thresholds
    return matching.of_lists([scan.list_id]) if usable else []


def _is_left(scan: RetroScan, name: str) -> bool:
    after, last = _reached(scan)[name]
    return after < last


def _reached(scan: RetroScan) -> dict[str, list[int]]:
    return scan.asked or {}


def _ask(scan: RetroScan, name: str, services: Sequence[Exchange], renewal: leases.Renewal) -> None:
    source, (after, last) = SOURCES[name], _reached(scan)[name]
    rows = read_rows(
        f"SELECT id, item_id, pdq FROM {source.table} "  # noqa: S608
        f"WHERE {_CONDITION} AND id <= %(last)s ORDER BY id LIMIT %(count)s",
        {
            "after": after,
            "last": last,
            "count": matching.AT_ONCE,
            "versions": list(source.versions),
        },
        {"id": BIGINT, "item": BIGINT, "pdq": BITS_256},
    )
    values = [bytes(one) for one in np.ascontiguousarray(rows["pdq"]["values"])]
    known: set[bytes] = set()
    for service in services if values else ():
        known |= matching.ask(service, list(dict.fromkeys(values))).keys()
    items = {int(item) for item, value in zip(rows["item"], values, strict=True) if value in known}
    found = cases = 0
    for pk in sorted(items):
        recorded = screen_counted(source.model, pk)
        if recorded is not None:
            own = BannedItem.objects.filter(list=scan.list_id, pk__in=recorded.matched)
            found += own.count()
            cases += recorded.opened
        renewal()
    # Rows that were deleted meanwhile leave less than was counted.
    reached = int(rows["id"][-1]) if len(rows) else last
    leases.save(
        scan,
        asked={**_reached(scan), name: [reached, last]},
        done=scan.done + len(rows),
        found=scan.found + found,
        cases=scan.cases + cases,
        failure="",
    )
    renewal()


def _end(scan: RetroScan, state: RetroScan.State, failure: str = "") -> None:
    leases.save(scan, state=state, failure=failure, finished_at=timezone.now(), claimed_until=None)
