"""Detect the format of a file and read its rows. See `moderation.lists.formats`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Final

from moderation.lists.formats import (
    delimited,
    ncmec,
    plain,
    project_vic,
    stopncii,
    tech_against_terrorism,
    threatexchange,
)
from moderation.lists.formats.rows import HashKind, HashRow, Row, State
from moderation.lists.formats.source import (
    HEAD_BYTES,
    Source,
    UnknownFormat,
    WrongFormat,
    decoded_head,
)


class Format(StrEnum):
    CSV = "csv"
    PLAIN = "plain"
    NCMEC = "ncmec"
    STOPNCII = "stopncii"
    THREATEXCHANGE = "threatexchange"
    TECH_AGAINST_TERRORISM = "tech_against_terrorism"
    PROJECT_VIC = "project_vic"


_XML: Final = {Format.NCMEC: ncmec}
_JSON: Final = {
    Format.PROJECT_VIC: project_vic,
    Format.STOPNCII: stopncii,
    Format.TECH_AGAINST_TERRORISM: tech_against_terrorism,
    Format.THREATEXCHANGE: threatexchange,
}
_TEXT: Final = {Format.CSV: delimited, Format.PLAIN: plain}
READER_NAMES: Final = sorted(reader.NAME for reader in (*_XML.values(), *_JSON.values()))
KNOWN: Final = (
    "CSV with a header, “kind hash” lines, or a file as one of these writes it: "
    + ", ".join(READER_NAMES)
)


def detect(head: bytes) -> Format:
    """Return the format of a file, from its first bytes (at most 64 KiB). Raises UnknownFormat."""
    text, _, _ = decoded_head(head)
    start = text.lstrip()[:1]
    readers = _XML if start == "<" else _JSON if start in ("{", "[") else _TEXT
    for name, reader in readers.items():
        if reader.matches(text):
            return name
    raise UnknownFormat(
        f"This file is no hash list that can be read here. What can be read: {KNOWN}."
    )


def read_rows(
    stream: BinaryIO,
    format: Format | None = None,
    *,
    now: datetime,
    default_kind: HashKind | None = None,
) -> Iterator[Row]:
    """Yield the rows of a hash list in file order. Memory use does not grow with the file.

    `stream` is binary and seekable and is read from its current position. Without `format`, the
    format is detected. An entry that expired by `now` becomes a tombstone. `default_kind` applies
    to hashes in CSV or plain lines that have no kind.

    Raises UnknownFormat or WrongFormat. WrongFormat is raised at once if the first bytes do not fit
    `format`, or by the iterator, before any row, if the file has no list of entries.
    """
    start = stream.tell()
    claimed = format or detect(stream.read(HEAD_BYTES))
    stream.seek(start)
    source = Source(stream)
    if claimed in _TEXT:
        rows = _TEXT[claimed].read(source, default_kind)
    else:
        reader = {**_XML, **_JSON}[claimed]
        if not reader.matches(source.head):
            raise WrongFormat(
                f"This is not a {reader.NAME} file: its beginning has none of the names that "
                "such a file has."
            )
        rows = reader.read(source)
    return (_expired(row, now) for row in rows)


def _expired(row: Row, now: datetime) -> Row:
    if isinstance(row, HashRow) and row.expires_at and row.expires_at <= now:
        return replace(row, state=State.TOMBSTONE)
    return row
