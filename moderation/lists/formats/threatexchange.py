"""Read ThreatExchange descriptors and threat updates, also from GIFCT's hash-sharing database.

A descriptor is one member's statement about one hash (``raw_indicator``). A threat update
(``indicator``) has the descriptors of all members. ``NON_MALICIOUS`` and a ``DISAGREE_WITH_TAGS``
reaction are opinions against the entry. An entry becomes a tombstone if all its descriptors call it
non-malicious, or if it is marked ``should_delete``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from moderation.lists.formats.json_records import Record, rows_of_records
from moderation.lists.formats.rows import Feedback, HashRow, Opinion, Row, State
from moderation.lists.formats.source import Source
from moderation.lists.formats.values import (
    NAME_CHARACTERS,
    NOTE_CHARACTERS,
    BadValue,
    clean,
    clean_id,
    hash_rows,
    known_time,
    parse_flag,
    parse_time,
    tags_of,
)

NAME: Final = "ThreatExchange"
OPINIONS: Final = {"MALICIOUS": Opinion.CONFIRMED, "NON_MALICIOUS": Opinion.FALSE_POSITIVE}
DISAGREES: Final = "DISAGREE_WITH_TAGS"

_MARK: Final = re.compile(r'"(raw_)?indicator"\s*:|"should_delete"\s*:|"data"\s*:\s*\[\s*\]')


def matches(head: str) -> bool:
    return bool(_MARK.search(head))


def read(source: Source) -> Iterator[Row]:
    return rows_of_records(source, ("data",), _rows, format_name=NAME)


def _rows(record: Record, place: str) -> Iterator[Row]:
    source_id = clean_id(record.get("id"))
    if not source_id:
        raise BadValue("the id is missing")
    # A deletion counts even if the rest of the record is invalid.
    deleted = parse_flag(record.get("should_delete"))
    descriptors = [] if deleted else _descriptors(record)
    entry = HashRow(
        place=place,
        state=_state(descriptors),
        source=NAME,
        source_id=source_id,
        owner=clean(", ".join(owner for owner in map(_owner, descriptors) if owner)),
        severity=_first(descriptors, "severity"),
        tags=tags_of([tag for one in descriptors for tag in _tags(one)]),
        note=_first(descriptors, "description", NOTE_CHARACTERS),
        feedback=tuple(said for one in descriptors for said in _feedback(one)),
        updated_at=known_time(record.get("last_updated") or record.get("added_on")),
        expires_at=parse_time(record.get("expired_on") or None),
    )
    kind = record.get("type")
    value = record.get("raw_indicator") or record.get("indicator")
    named = isinstance(kind, str) and isinstance(value, str)
    if entry.state is State.TOMBSTONE and not named:
        yield entry
        return
    if not isinstance(kind, str):
        raise BadValue("the type is missing")
    yield from hash_rows(entry, [(kind, value)])


def _descriptors(record: Record) -> list[Record]:
    if "descriptors" not in record and "should_delete" not in record:
        return [record]
    listed = record.get("descriptors") or {}
    return _objects(listed.get("data") if isinstance(listed, dict) else listed)


def _objects(listed: Any) -> list[Record]:
    if not isinstance(listed, list | None) or not all(isinstance(x, dict) for x in listed or ()):
        raise BadValue("an array of objects is expected in descriptors, tags and reactions")
    return listed or []


def _state(descriptors: list[Record]) -> State:
    said = {OPINIONS.get(str(one.get("status"))) for one in descriptors}
    return State.TOMBSTONE if said <= {Opinion.FALSE_POSITIVE} else State.ACTIVE


def _owner(descriptor: Record) -> str:
    owner = descriptor.get("owner")
    return clean(owner.get("name") or owner.get("id")) if isinstance(owner, dict) else ""


def _tags(descriptor: Record) -> Iterable[str]:
    """Read tags given as words or as `{"data": [{"text": word}]}`."""
    tags = descriptor.get("tags")
    if isinstance(tags, dict):
        return [clean(tag.get("text")) for tag in _objects(tags.get("data"))]
    return tags_of(tags)


def _feedback(descriptor: Record) -> Iterator[Feedback]:
    status = str(descriptor.get("status"))
    yield Feedback(by=_owner(descriptor), opinion=OPINIONS.get(status, Opinion.NONE))
    for field in ("my_reactions", "reactions"):
        if DISAGREES in _words(descriptor.get(field)):
            yield Feedback(by=field, opinion=Opinion.FALSE_POSITIVE, reasons=(DISAGREES,))


def _words(value: Any) -> set[str]:
    """Return every word in a reaction list, nested or not: words, `{key, value}` objects, text."""
    if isinstance(value, str):
        return set(re.split(r"[,\s]+", value))
    if isinstance(value, dict):
        return {word for pair in value.items() for part in pair for word in _words(part)}
    return {word for part in value for word in _words(part)} if isinstance(value, list) else set()


def _first(descriptors: list[Record], field: str, characters: int = NAME_CHARACTERS) -> str:
    return next((text for one in descriptors if (text := clean(one.get(field), characters))), "")
