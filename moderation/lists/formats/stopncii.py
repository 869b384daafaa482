"""Read StopNCII.org's hash records, as its FetchHashes returns them.

A record replaces the earlier record with the same type and hash, so these two form its id here. A
record is withdrawn if its status says so, or if all its cases are withdrawn or deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from moderation.lists.formats.json_records import Record, rows_of_records
from moderation.lists.formats.rows import Feedback, HashRow, Opinion, Row, State
from moderation.lists.formats.source import Source
from moderation.lists.formats.values import (
    BadValue,
    clean,
    clean_id,
    hash_rows,
    known_time,
    tags_of,
)

NAME: Final = "StopNCII"
WITHDRAWN: Final = frozenset({"Withdrawn", "Deleted"})
STATUSES: Final = WITHDRAWN | {"Received", "Active", "Unknown"}
OPINIONS: Final = {"Blocked": Opinion.CONFIRMED, "NotBlocked": Opinion.FALSE_POSITIVE}

_MARK: Final = re.compile(r'"hashRecords"\s*:')


def matches(head: str) -> bool:
    return bool(_MARK.search(head))


def read(source: Source) -> Iterator[Row]:
    return rows_of_records(source, ("hashRecords",), _rows, format_name=NAME)


def _rows(record: Record, place: str) -> Iterator[Row]:
    kind, value = record.get("signalType"), record.get("hashValue")
    if not isinstance(kind, str) or not isinstance(value, str):
        raise BadValue("signalType or hashValue is missing")
    state = _state(record)
    # A withdrawal counts even if the rest of the record is invalid.
    feedback = [] if state is State.TOMBSTONE else [*map(_feedback, _feedbacks(record))]
    entry = HashRow(
        place=place,
        state=state,
        source=NAME,
        source_id=clean_id(f"{kind}:{value.strip().lower()}"),
        tags=tags_of([tag for one in feedback for tag in one.reasons]),
        feedback=tuple(feedback),
        updated_at=known_time(record.get("lastModtimestamp")),
    )
    yield from hash_rows(entry, [(kind, value)])


def _state(record: Record) -> State:
    status, cases = record.get("hashStatus"), record.get("caseNumbers") or {}
    if not isinstance(status, str) or status not in STATUSES:
        raise BadValue(f"the hashStatus “{clean(status, 40)}” is not known")
    if status in WITHDRAWN:
        return State.TOMBSTONE
    if not isinstance(cases, dict):
        raise BadValue("caseNumbers is not an object")
    gone = bool(cases) and all(str(case) in WITHDRAWN for case in cases.values())
    return State.TOMBSTONE if gone else State.ACTIVE


def _feedbacks(record: Record) -> list[Any]:
    listed = record.get("CSPFeedbacks") or []
    if not isinstance(listed, list):
        raise BadValue("CSPFeedbacks is not an array")
    return listed


def _feedback(one: Any) -> Feedback:
    if not isinstance(one, dict):
        raise BadValue("CSPFeedbacks holds something that is no object")
    return Feedback(
        by=clean(one.get("source")),
        opinion=OPINIONS.get(str(one.get("feedbackValue")), Opinion.NONE),
        reasons=tags_of(one.get("tags")),
    )
