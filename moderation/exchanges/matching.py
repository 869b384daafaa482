"""Ask a remote service whether it knows hashes, with a circuit breaker.

A service that failed ``BREAKER_FAILURES`` times in a row is not asked for ``PAUSE``: uploads do not
wait for it. "Not answered" is never "no match": callers get ``ServiceFailed``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError, connection
from django.utils import timezone

from gallery.shared import counters
from moderation.exchanges.clients import arachnid_shield
from moderation.exchanges.clients.arachnid_shield import Hit
from moderation.exchanges.clients.base import ServiceFailed
from moderation.exchanges.editing import session_of
from moderation.exchanges.models import BREAKER_FAILURES, Exchange
from moderation.lists.models import BannedItem

TIMEOUT: Final = 3.0
"""Seconds: an upload waits for the answer."""

PAUSE: Final = timedelta(seconds=30)
AT_ONCE: Final = 100
MOST: Final = 1_000
"""Hashes of one file that are sent. A video with more pictures is compared only partly."""

SUCCESS_KEPT: Final = timedelta(minutes=1)
"""How exact ``succeeded_at`` is: not every upload writes it."""


def of_lists(list_ids: Collection[int]) -> list[Exchange]:
    """Return the remote services that are enabled for some of the lists."""
    return list(Exchange.objects.remote().filter(enabled=True, list__in=list_ids))


def ask(exchange: Exchange, hashes: Sequence[bytes]) -> dict[bytes, Hit]:
    """Return the hits among PDQ hashes of 32 bytes. Raises ``ServiceFailed``, also while the
    service is not asked."""
    now = timezone.now()
    if exchange.failures >= BREAKER_FAILURES and exchange.next_at > now:
        counters.count("remote_questions", exchange.name, "not asked")
        raise ServiceFailed(f"{exchange.name} does not answer, so it is not asked at this moment.")
    hits: dict[bytes, Hit] = {}
    try:
        session = session_of(exchange, TIMEOUT)
        for begin in range(0, len(hashes), AT_ONCE):
            hits |= arachnid_shield.ask(session, hashes[begin : begin + AT_ONCE])
    except ServiceFailed as error:
        counters.count("remote_questions", exchange.name, "failed")
        _note(
            exchange,
            "failures = failures + 1, failure = %(failure)s, next_at = %(until)s",
            failure=error.message[:500],
            until=now + PAUSE,
        )
        raise ServiceFailed(f"{exchange.name} did not answer: {error.message}") from error
    counters.count("remote_questions", exchange.name, "answered")
    last = exchange.succeeded_at
    if exchange.failures or last is None or last < now - SUCCESS_KEPT:
        _note(exchange, "failures = 0, failure = '', succeeded_at = %(at)s", at=now)
    return hits


def items_of(exchange: Exchange, hits: Mapping[bytes, Hit]) -> dict[bytes, BannedItem]:
    """Return the items that stand for what the service knows, made where they are missing.

    They have no hash here: only the service matches them. Hashes whose item was retired here, or
    called a false positive, are left out.
    """
    for value, hit in sorted(hits.items()):
        BannedItem.objects.get_or_create(
            list_id=exchange.list_id,
            source=arachnid_shield.SOURCE,
            source_id=value.hex(),
            defaults={
                "category": hit.classification,
                "added_by": f"exchange:{exchange.name}",
                "note": "Known by its service, which is asked each time. No hash is kept here.",
            },
        )
    return {bytes.fromhex(row.source_id): row for row in _known(exchange, hits)}


def _known(exchange: Exchange, hits: Iterable[bytes]) -> Iterable[BannedItem]:
    return BannedItem.objects.matching().filter(
        list=exchange.list_id,
        source=arachnid_shield.SOURCE,
        source_id__in=[value.hex() for value in hits],
    )


def _note(exchange: Exchange, values: str, **params: Any) -> None:
    """Store whether the service answered.

    This needs a connection of its own. In the caller's transaction the row would be locked until
    the upload is stored, and the note would be lost if the upload fails."""
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
            cursor.execute(
                f"UPDATE moderation_exchange SET {values} WHERE id = %(id)s",  # noqa: S608
                {**params, "id": exchange.pk},
            )
    except DatabaseError:
        counters.count("remote_questions", exchange.name, "not noted")
    finally:
        own.close()
