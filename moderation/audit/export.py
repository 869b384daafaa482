"""The audit as a file: CSV or JSON, an event a line, read in pieces."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import orjson
from django.db.models import QuerySet

from moderation.access.permissions import Actor, check
from moderation.audit.models import AuditEvent

COLUMNS: Final = (
    "id", "at", "actor", "verb", "subject", "subject_id", "count", "before", "after", "reason",
    "previous", "digest",
)  # fmt: skip
CHUNK: Final = 2_000
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute; such texts get an apostrophe."""


def as_csv(*, by: Actor, events: QuerySet[AuditEvent]) -> Iterator[str]:
    """A header and a line for each event. Raises ``NotAllowed``."""
    check(by, "view the audit")
    write = csv.writer(_Echo()).writerow
    return _csv_lines(write, events)


def as_json(*, by: Actor, events: QuerySet[AuditEvent]) -> Iterator[str]:
    """JSON Lines: an object for each event. Raises ``NotAllowed``."""
    check(by, "view the audit")
    return (orjson.dumps(row).decode() + "\n" for row in _rows(events))


class _Echo:
    """A file whose ``write`` answers what it was given; csv hands each finished line to it."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(write: Any, events: QuerySet[AuditEvent]) -> Iterator[str]:
    yield write(COLUMNS)
    for row in _rows(events):
        yield write([cell(value) for value in row.values()])


def _rows(events: QuerySet[AuditEvent]) -> Iterator[dict[str, Any]]:
    # By id, as they are chained: a file can be verified line by line.
    yield from events.order_by("id").values(*COLUMNS).iterator(CHUNK)


def cell(value: Any) -> str:
    """A value as the text of a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text
