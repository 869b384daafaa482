"""The audit: one event per command, in its transaction, chained to the previous event."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection, models, transaction
from django.utils import timezone

from gallery.shared.locking import Lock, lock
from moderation.audit.models import AuditEvent

FIRST = "0" * 64
"""The ``previous`` of the first event."""
LARGEST = 10**16
"""From this value on, Python writes floats with an exponent, but the database writes all digits."""
IDS_LISTED = 100
"""Maximum number of ids in an event about many rows."""
CONTENT = (
    "id", "at", "actor", "verb", "subject", "subject_id", "count", "before", "after", "reason",
    "previous",
)  # fmt: skip

NEXT = """
SELECT nextval(pg_get_serial_sequence('moderation_auditevent', 'id')),
       (SELECT digest FROM moderation_auditevent ORDER BY id DESC LIMIT 1)
"""
"""The id of the next event, and the digest of the last one."""

_within: ContextVar[bool] = ContextVar("within a command", default=False)


@contextmanager
def part_of_a_command() -> Iterator[None]:
    """Suppress events from other apps' signals inside: the command records one event itself."""
    token = _within.set(True)
    try:
        yield
    finally:
        _within.reset(token)


def within_a_command() -> bool:
    """Whether a command that records itself is running. Receivers then record nothing."""
    return _within.get()


@dataclass(frozen=True)
class ChainBreak:
    """A place where the chain is broken, and the reason."""

    event_id: int
    reason: str


def record(
    *,
    by: str,
    verb: str,
    subject: models.Model | type[models.Model],
    before: Any = None,
    after: Any = None,
    count: int = 1,
    reason: str = "",
) -> AuditEvent:
    """Write an event. Call it last in the command's transaction: until that ends, no other
    transaction can record an event.

    ``subject``: a row, or a model if the event is about several rows. ``before`` and ``after`` must
    be valid JSON values. Raise ``TransactionManagementError`` outside a transaction.
    """
    connection.validate_no_broken_transaction()
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "an audit event must be recorded inside a transaction"
        )
    lock(Lock.AUDIT)
    with connection.cursor() as cursor:
        # A statement of its own: it must see what the holder of the lock before has committed.
        cursor.execute(NEXT)
        pk, previous = cursor.fetchone()
    event = AuditEvent(
        id=pk,
        at=timezone.now(),
        actor=by,
        verb=verb,
        subject=subject._meta.label_lower,
        subject_id=subject.pk if isinstance(subject, models.Model) else None,
        count=count,
        before=plain(before),
        after=plain(after),
        reason=reason,
        previous=previous or FIRST,
    )
    event.digest = digest(event)
    event.save(force_insert=True)
    return event


def last_event() -> AuditEvent | None:
    return AuditEvent.objects.order_by("-id").first()


def summarize_ids(ids: Sequence[int]) -> dict[str, Any]:
    text = ",".join(map(str, ids))
    return {"ids": list(ids[:IDS_LISTED]), "digest": hashlib.sha256(text.encode()).hexdigest()}


def plain(value: Any) -> Any:
    """Return the value as the database returns it, so that its digest does not change.

    Numbers of ``LARGEST`` or more become text, because the database writes them differently.
    """
    return None if value is None else orjson.loads(orjson.dumps(_kept(value), default=str))


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(each) for each in value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    if abs(value) >= LARGEST:
        return str(value)
    return value + 0.0 if isinstance(value, float) else value  # no negative zero


def digest(event: AuditEvent) -> str:
    content = {name: getattr(event, name) for name in CONTENT}
    content["at"] = event.at.astimezone(timezone.get_default_timezone()).isoformat()
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def find_breaks() -> Iterator[ChainBreak]:
    """Yield every place where the chain is broken, starting from the first event.

    It cannot detect events that were removed at the end: compare the last digest with a copy that
    is kept elsewhere.
    """
    previous = FIRST
    for event in AuditEvent.objects.order_by("id").iterator(chunk_size=2000):
        if event.previous != previous:
            yield ChainBreak(event.pk, "the event before it was removed or replaced")
        if event.digest != digest(event):
            yield ChainBreak(event.pk, "its content was changed")
        previous = event.digest
