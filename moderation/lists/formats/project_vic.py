"""Read Project VIC / VICS media records: hash sets (``#Media``) and case files (``#Cases``).

``Category`` is kept as it is in the file. The meaning of a number depends on the country's edition
of the data model, and some numbers stand for harmless media. So the edition is kept as a tag
(``VICS 2.0/US``), and the importer must be told which categories to import. Hashes other than md5
and sha1 are in ``AlternativeHashes``. Older files have ``odata.metadata`` instead of
``@odata.context``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, Final

from moderation.lists.formats.json_records import Record, rows_of_records
from moderation.lists.formats.rows import HashRow, Row
from moderation.lists.formats.source import Source
from moderation.lists.formats.values import (
    NOTE_CHARACTERS,
    BadValue,
    clean,
    clean_id,
    hash_rows,
    known_time,
    media_of,
    parse_flag,
    tags_of,
)

NAME: Final = "Project VIC"
FLAGS: Final = ("VictimIdentified", "OffenderIdentified", "IsDistributed", "IsSuspected")

_MARK: Final = re.compile(
    r'"@?odata\.(context|metadata)"\s*:\s*"([^"]*(ProjectVic|VICS)[^"]*)"', re.I
)
_EDITION: Final = re.compile(r"(\d+\.\d+)\.xml(?:/(\w+))?", re.I)
_CASES: Final = re.compile(r"#Cases\b", re.I)


def matches(head: str) -> bool:
    return bool(_MARK.search(head))


def read(source: Source) -> Iterator[Row]:
    mark = _MARK.search(source.head)
    context = mark[2] if mark else ""
    edition = _EDITION.search(context)
    tag = "VICS " + "/".join(filter(None, edition.groups())) if edition else ""
    path = ("value", None, "Media") if _CASES.search(context) else ("value",)
    return rows_of_records(source, path, functools.partial(_rows, edition=tag), format_name=NAME)


def _rows(record: Record, place: str, *, edition: str) -> Iterator[Row]:
    named = list(_hashes(record))
    if not named:
        raise BadValue("there is no MD5, SHA1 or other hash")
    flags = [name for name in FLAGS if parse_flag(record.get(name))]
    entry = HashRow(
        place=place,
        media=media_of(record.get("MimeType")),
        source=NAME,
        source_id=clean_id(record.get("MediaID")),
        owner=clean(record.get("PrecategorizationSource")),
        category=clean(record.get("Category")),
        tags=tags_of(
            [edition, *tags_of(record.get("Tags")), *tags_of([record.get("Series")]), *flags]
        ),
        note=clean(record.get("Comments"), NOTE_CHARACTERS),
        updated_at=known_time(record.get("DateUpdated")),
    )
    yield from hash_rows(entry, named)


def _hashes(record: Record) -> Iterator[tuple[str, Any]]:
    for name in ("MD5", "SHA1", "PhotoDNA"):
        if record.get(name):
            yield name, record[name]
    others = record.get("AlternativeHashes") or ()
    for other in others if isinstance(others, list) else ():
        if isinstance(other, dict) and other.get("HashValue"):
            yield clean(other.get("HashName")), other["HashValue"]
