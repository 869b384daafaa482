"""Read Tech Against Terrorism's hash list: an API answer with ``results``, or that array alone.

``file_type`` is the kind of media that was hashed. ``ideology`` becomes the category.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from moderation.lists.formats.json_records import Record, rows_of_records
from moderation.lists.formats.rows import HashRow, Row, State
from moderation.lists.formats.source import Source
from moderation.lists.formats.values import (
    BadValue,
    clean,
    clean_id,
    hash_rows,
    known_time,
    media_of,
    parse_flag,
)

NAME: Final = "Tech Against Terrorism"

_MARK: Final = re.compile(r'"hash_digest"\s*:|"results"\s*:\s*\[\s*\]')


def matches(head: str) -> bool:
    return bool(_MARK.search(head))


def read(source: Source) -> Iterator[Row]:
    return rows_of_records(source, ("results",), _rows, format_name=NAME)


def _rows(record: Record, place: str) -> Iterator[Row]:
    algorithm, digest = record.get("algorithm"), record.get("hash_digest")
    if not isinstance(algorithm, str) or not isinstance(digest, str):
        raise BadValue("algorithm or hash_digest is missing")
    given_id = record.get("id")
    entry = HashRow(
        place=place,
        state=State.TOMBSTONE if parse_flag(record.get("deleted")) else State.ACTIVE,
        media=media_of(record.get("file_type")),
        source=NAME,
        source_id=clean_id(
            f"{algorithm}:{digest.strip().lower()}" if given_id is None else given_id
        ),
        category=clean(record.get("ideology")),
        updated_at=known_time(record.get("updated_on") or record.get("created_on")),
    )
    yield from hash_rows(entry, [(algorithm, digest)])
