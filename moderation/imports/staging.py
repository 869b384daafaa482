"""Copy the rows of a hash list into a temporary table, with one COPY and constant memory.

The rows of one entry share a ``key``: source and id, or else the first hash. If an entry occurs
more than once, the latest by the source's time counts, with all hashes given at that time. Without
times, the last one in the file counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

import psycopg2
from django.db import connection

from moderation.imports.options import Options
from moderation.lists.formats.reading import Format, read_rows
from moderation.lists.formats.rows import HashRow, InvalidRow, SkippedHash, State

BAD_ROWS = 1_000
"""Bad rows that are stored. All bad rows are counted."""
TELL_EVERY = 2_000
PIECE = 65_536
NULL = r"\N"

CREATE = """
CREATE TEMPORARY TABLE staged (
    seq bigint, key text COLLATE "C", source text, source_id text, kind text, value text,
    quality smallint, gone boolean, expired boolean, media text, owner text, category text,
    severity text, tags varchar[], note text, feedback text, updated_at timestamptz,
    expires_at timestamptz
)
"""
SETTLE = """
DELETE FROM staged USING (
    SELECT key, max(updated_at) AS last FROM staged GROUP BY key
    HAVING count(updated_at) = count(*) AND min(updated_at) < max(updated_at)
) AS twice
WHERE staged.key = twice.key AND staged.updated_at < twice.last
"""
ONLY_WITHDRAWN = """
DELETE FROM staged USING (
    SELECT DISTINCT ON (key) key, gone FROM staged ORDER BY key, seq DESC
) AS last
WHERE staged.key = last.key AND NOT last.gone
"""


@dataclass
class Staged:
    """The result of reading. ``broken``: the file ended early. ``bad``: the first bad rows."""

    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    bad_count: int = 0
    bad: list[InvalidRow] = field(default_factory=list)
    broken: bool = False


def stage(
    stream: BinaryIO,
    format: Format,
    options: Options,
    *,
    now: datetime,
    tell: Callable[[int], None],
) -> Staged:
    """Create and fill the table ``staged``. Calls ``tell`` with the number of bytes read.

    Raises ``WrongFormat``.
    """
    staged = Staged()
    rows = read_rows(stream, format, now=now, default_kind=options.kind)
    pieces = _Pieces(_lines(rows, options, staged, lambda: tell(stream.tell())))
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        try:
            cursor.copy_expert("COPY staged FROM STDIN", pieces, PIECE)
        except psycopg2.Error:
            # An error while reading the file appears as a cancelled query.
            if pieces.error is None:
                raise
            raise pieces.error from None
        cursor.execute("ANALYZE staged")
        cursor.execute(SETTLE)
        if options.withdrawals:
            cursor.execute(ONLY_WITHDRAWN)
    return staged


class _Pieces:
    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        piece: list[str] = []
        length = 0
        try:
            for line in self._lines:
                piece.append(line)
                length += len(line)
                if length >= size:
                    break
        except Exception as error:
            self.error = error
            raise
        return "".join(piece).encode()


def _lines(
    rows: Iterator[Any], options: Options, staged: Staged, tell: Callable[[], None]
) -> Iterator[str]:
    place, key = "", ""
    for number, row in enumerate(rows):
        if number % TELL_EVERY == 0:
            tell()
        if isinstance(row, HashRow):
            if options.categories and row.category not in options.categories:
                staged.skipped[f"category {row.category or 'none'}"] += 1
                continue
            source = row.source or options.source
            if row.source_id:
                key = f"{source}\x1f{row.source_id}"
            elif row.place != place:
                key = f"{source}\x1f\x1f{row.kind}:{row.value}"
            place = row.place
            staged.rows += 1
            yield _line(staged.rows, key, source, row)
        elif isinstance(row, SkippedHash):
            staged.skipped[row.kind] += 1
        else:
            staged.bad_count += 1
            staged.broken |= row.ends_file
            # A row that ends the file is always the last row.
            if len(staged.bad) < BAD_ROWS or row.ends_file:
                staged.bad.append(row)
    tell()


def _line(number: int, key: str, source: str, row: HashRow) -> str:
    gone = row.state is State.TOMBSTONE
    values = (
        str(number),
        _text(key),
        _text(source),
        _text(row.source_id),
        row.kind or NULL,
        row.value,
        NULL if row.quality is None else str(row.quality),
        "t" if gone else "f",
        "t" if gone and row.expires_at else "f",
        row.media,
        _text(row.owner),
        _text(row.category),
        _text(row.severity),
        _array(row.tags),
        _text(row.note),
        row.opinion,
        _time(row.updated_at),
        _time(row.expires_at),
    )
    return "\t".join(values) + "\n"


def _text(text: str) -> str:
    """Escape backslashes. Nothing else needs escaping: rows have no tabs or line ends."""
    return text.replace("\\", "\\\\") if "\\" in text else text


def _array(words: tuple[str, ...]) -> str:
    if not words:
        return "{}"
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return _text("{" + ",".join(f'"{word}"' for word in quoted) + "}")


def _time(time: datetime | None) -> str:
    return NULL if time is None else time.isoformat()
