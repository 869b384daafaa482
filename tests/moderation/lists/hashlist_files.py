"""Reading the sample hash lists, and the hashes that stand in them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

from moderation.lists.formats.reading import Format, read_rows
from moderation.lists.formats.rows import HashKind, HashRow, InvalidRow, Row, SkippedHash

DATA = Path(__file__).parents[2] / "data" / "hashlists"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def md5(number: int) -> str:
    """The md5 the samples use as their `number`th."""
    return f"{number}{number}aabbccddeeff00112233445566778{number}"


def sha1(number: int) -> str:
    return f"{md5(number)}deadbe{number - 1:02x}"


def sha256(number: int) -> str:
    return md5(number) + md5(number)[::-1]


def pdq(number: int) -> str:
    return "f0e1d2c3" * 7 + f"{number:08x}"


def rows_of(name: str, format: Format | None = None, **options: HashKind) -> list[Row]:
    """Every row of a sample file."""
    with (DATA / name).open("rb") as stream:
        return list(read_rows(stream, format, now=NOW, **options))


def rows_in(content: str | bytes, format: Format | None = None, **options: HashKind) -> list[Row]:
    """Every row of a file with this content."""
    data = content.encode() if isinstance(content, str) else content
    return list(read_rows(io.BytesIO(data), format, now=NOW, **options))


def hashes(rows: list[Row]) -> list[tuple[str, str, str]]:
    """(kind, value, state) of the rows that are hashes."""
    return [(row.kind or "", row.value, row.state) for row in rows if isinstance(row, HashRow)]


def bad(rows: list[Row]) -> list[tuple[str, str]]:
    """(place, reason) of those that are quarantined."""
    return [(row.place, row.reason) for row in rows if isinstance(row, InvalidRow)]


def skipped(rows: list[Row]) -> list[tuple[str, str]]:
    """(place, kind) of the hashes that cannot be matched here."""
    return [(row.place, row.kind) for row in rows if isinstance(row, SkippedHash)]


def only(rows: list[Row], place: str) -> HashRow:
    """The one hash row at this place."""
    (row,) = (row for row in rows if isinstance(row, HashRow) and row.place == place)
    return row
