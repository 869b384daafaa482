"""Publish items: all gates must let an item pass, in the publishing transaction.

A gate is a function named in ``settings.PUBLISHING_GATES``. It takes the described image or
video and returns True to let it pass or False to hold it. A gate that raises holds it too, so
that a broken check never lets anything pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from gallery.items.item import Item, Status
from gallery.items.kinds import kind_of
from gallery.items.retention import may_forget
from gallery.items.signals import notify_changed
from gallery.shared import counters
from gallery.shared.access import Sender
from gallery.shared.errors import UserError

Gate = Callable[[Item], bool]
MovingGate = Callable[[Sequence[Any]], set[int]]
QueryGate = Callable[[bytes, Sender], None]
SAVED = (
    "status", "failure", "claimed_until", "client", "attempts", "original", "thumbnail",
    "pictures_version", "quarantined_at",
)  # fmt: skip
"""Columns that describing and publishing change. An UPDATE of all columns costs twice as much."""
logger = logging.getLogger(__name__)


class QueryRefused(UserError):
    """Raised by a function in ``QUERY_GATES`` or ``SHARE_GATES``: nobody may search with this
    picture, or share it."""

    code = "query_banned"


def check_query(data: bytes, sender: Sender) -> None:
    """Run the functions in ``settings.QUERY_GATES`` on a file to search with.

    Raises ``QueryRefused`` and other errors of these functions.
    """
    _run_query_gates(settings.QUERY_GATES, data, sender)


def check_shared(data: bytes, sender: Sender) -> None:
    """Run the functions in ``settings.SHARE_GATES`` on a picture that others are to see.

    Raises ``QueryRefused`` and other errors of these functions.
    """
    _run_query_gates(settings.SHARE_GATES, data, sender)


def _run_query_gates(paths: Iterable[str], data: bytes, sender: Sender) -> None:
    for path in paths:
        gate: QueryGate = import_string(path)
        gate(data, sender)


def publish(item: Item, *, by: str, saved: Iterable[str] = (), spare: bool = False) -> Status:
    """Move a pending, described item to ``ready``, or to ``quarantined`` if a gate holds it.

    Call it inside the transaction that stored the description, with the row locked. Saves
    ``SAVED`` and the columns in ``saved``. Return the new status. ``spare``: only the gates need
    the original. It is then cleared on the row if the item is ready and no case needs it, and
    the caller deletes the file.
    """
    before = item.status
    item.move_to(Status.READY if passes(item) else Status.QUARANTINED)
    if spare and item.status == Status.READY and may_forget(item):
        item.original = ""
    item.attempts, item.pictures_version = 0, item.PICTURES_VERSION
    item.save(update_fields=[*SAVED, *saved])
    notify_changed(by=by, verb="published", row=item, before=before, after=item.status)
    seconds = (timezone.now() - item.created_at).total_seconds()
    counters.count("item_publish_seconds", kind_of(item).name, seconds=seconds)
    return Status(item.status)


def held_of(items: Sequence[Item]) -> set[int]:
    """Return the ids of published items, new in this transaction, that the gates hold.

    Asks ``MOVING_GATES``, once for all of them. All are held if one of these raises.
    """
    held: set[int] = set()
    for path in settings.MOVING_GATES:
        gate: MovingGate = import_string(path)
        try:
            with transaction.atomic():
                held |= gate(items)
        except Exception:
            logger.exception("gate %s failed on %s items; they are held back", path, len(items))
            return {item.pk for item in items}
    return held


def passes(item: Item) -> bool:
    # Run every gate, even after one held the item: each records what it finds.
    answers = [_passes(path, item) for path in settings.PUBLISHING_GATES]
    return all(answers)


def _passes(path: str, item: Item) -> bool:
    gate: Gate = import_string(path)
    try:
        # Use a savepoint: an SQL error in a gate must not roll back the item's own rows.
        with transaction.atomic():
            return gate(item)
    except Exception:
        logger.exception("gate %s failed on %s; it is held back", path, item)
        return False
