"""Exports the audit as CSV or JSON Lines: one event per line, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import orjson
from django.db import transaction
from django.db.models import QuerySet

from gallery.shared.csv_export import csv_lines
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.audit.sentences import Names, as_text, sentence

COLUMNS: Final = (
    "id", "at", "actor", "verb", "subject", "subject_id", "count", "before", "after", "reason",
    "previous", "digest",
)  # fmt: skip
CHUNK: Final = 2_000
NAMED_TOGETHER: Final = 500
"""Events whose names are read together."""


@transaction.atomic
def as_csv(*, by: Actor, events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield a header and a line for each event, with its sentence. Raise ``NotAllowed``."""
    before = _record(by, events)
    return csv_lines((*COLUMNS, "sentence"), _lines(before))


@transaction.atomic
def as_json(*, by: Actor, events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield a JSON object per line for each event. Raise ``NotAllowed``."""
    before = _record(by, events)
    return (orjson.dumps(row).decode() + "\n" for row in _rows(before))


def _record(by: Actor, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
    """Record the export. Return the events before it."""
    check(by, "view the audit")
    count = events.order_by().count()
    event = trail.record(by=by.name, verb="auditevent.exported", subject=AuditEvent, count=count)
    return events.filter(pk__lt=event.pk)


def _lines(events: QuerySet[AuditEvent]) -> Iterator[list[Any]]:
    rows = events.order_by("id").iterator(CHUNK)
    while some := list(islice(rows, NAMED_TOGETHER)):
        names = Names.of(some)
        for event in some:
            values = [getattr(event, name) for name in COLUMNS]
            yield [*values, as_text(sentence(event, names))]


def _rows(events: QuerySet[AuditEvent]) -> Iterator[dict[str, Any]]:
    # By id, the order of the chain, so that a file can be verified line by line.
    yield from events.order_by("id").values(*COLUMNS).iterator(CHUNK)
