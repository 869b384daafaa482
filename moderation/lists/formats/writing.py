"""Write hash lists as CSV, ``kind hash`` lines, or ThreatExchange JSON.

CSV keeps every field except individual feedback (it keeps only the combined opinion), and reads
back to the same rows. Lines keep only active hashes. Only the lists' owners write other formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson

from gallery.shared.csv_export import csv_lines
from gallery.shared.errors import UserError
from moderation.lists.formats.reading import Format
from moderation.lists.formats.rows import HashKind, HashRow, Media, Opinion, State

CSV_COLUMNS: Final = (
    "hash", "kind", "quality", "media", "state", "category", "severity", "tags", "source",
    "source_id", "owner", "opinion", "note", "updated_at", "expires_at",
)  # fmt: skip


class NotWritable(UserError):
    code = "not_writable"


def write_rows(rows: Iterable[HashRow], format: Format) -> Iterator[bytes]:
    """Return the file in pieces, one per row and one before and after. Raises NotWritable."""
    if format not in WRITERS:
        names = ", ".join(WRITERS)
        raise NotWritable(f"Lists are not written as {format}; choose {names}.", field="format")
    return WRITERS[format](rows)


def _csv(rows: Iterable[HashRow]) -> Iterator[bytes]:
    fields = ["value" if column == "hash" else column for column in CSV_COLUMNS]
    cells = ([getattr(row, field) for field in fields] for row in rows)
    return (line.encode() for line in csv_lines(CSV_COLUMNS, cells, line_end="\n"))


def _plain(rows: Iterable[HashRow]) -> Iterator[bytes]:
    for row in rows:
        if row.kind and row.state is State.ACTIVE:
            quality = "" if row.quality is None else f" {row.quality}"
            yield f"{row.kind} {row.value}{quality}\n".encode()


def _threatexchange(rows: Iterable[HashRow]) -> Iterator[bytes]:
    yield b'{"data":['
    comma = b""
    for row in rows:
        yield comma + orjson.dumps(_descriptor(row)) + b"\n"
        comma = b","
    yield b"]}\n"


def _descriptor(row: HashRow) -> dict[str, Any]:
    descriptor: dict[str, Any] = {"id": row.source_id or f"{row.kind}:{row.value}"}
    if row.kind:
        video = "VIDEO_" if row.media is Media.VIDEO and row.kind is not HashKind.PDQ else ""
        descriptor |= {
            "type": f"HASH_{video}{row.kind.upper()}",
            "raw_indicator": row.value,
        }
    if row.state is State.TOMBSTONE:
        return descriptor | {"should_delete": True}
    harmless = row.opinion is Opinion.FALSE_POSITIVE
    return descriptor | {
        "status": "NON_MALICIOUS" if harmless else "MALICIOUS",
        "owner": {"name": row.owner},
        "severity": row.severity,
        "description": row.note,
        "tags": {"data": [{"text": tag} for tag in row.tags]},
        "added_on": row.updated_at and row.updated_at.isoformat(),
        "expired_on": row.expires_at and row.expires_at.isoformat(),
    }


WRITERS: Final[dict[Format, Callable[[Iterable[HashRow]], Iterator[bytes]]]] = {
    Format.CSV: _csv,
    Format.PLAIN: _plain,
    Format.THREATEXCHANGE: _threatexchange,
}
