"""Read CSV with a header, separated by commas, semicolons or tabs. COLUMNS has the column names.

A row has either one hash (``hash`` and ``kind``; a single md5 or sha1 needs no kind) or several
(``md5``, ``sha1``, ``sha256``, ``pdq``). Empty cells at the end, empty rows, comment lines (``#``)
and the ``sep=`` line of a spreadsheet are ignored. A quoted field may span several lines. A quote
that is never closed invalidates only its own line, not the lines after it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from gallery.shared.csv_export import unescaped
from moderation.lists.formats.rows import (
    Feedback,
    HashKind,
    HashRow,
    InvalidRow,
    Opinion,
    Row,
    State,
)
from moderation.lists.formats.source import LINE_CHARACTERS, Source, WrongFormat
from moderation.lists.formats.values import (
    NOTE_CHARACTERS,
    BadValue,
    Unmatchable,
    clean,
    clean_id,
    excerpt,
    guess_kind,
    hash_rows,
    known_time,
    media_of,
    parse_flag,
    parse_kind,
    parse_quality,
    parse_time,
    tags_of,
)

NAME: Final = "CSV"
COLUMNS: Final = {
    "hash": "hash value indicator hash_value hash_digest signal",
    "kind": "kind hash_type algorithm type signal_type",
    "md5": "md5",
    "sha1": "sha1 sha_1",
    "sha256": "sha256 sha_256",
    "pdq": "pdq pdq_hash",
    "quality": "quality pdq_quality",
    "media": "media file_type mime_type",
    "state": "state status",
    "deleted": "deleted withdrawn",
    "category": "category label classification",
    "severity": "severity",
    "tags": "tags labels",
    "source": "source",
    "source_id": "source_id id first_descriptor_id",
    "owner": "owner",
    "note": "note notes comment comments description",
    "opinion": "opinion",
    "updated_at": "updated_at updated_on added_on created_on date",
    "expires_at": "expires_at expires_on",
}
"""Our name → accepted column names, in upper or lower case, with "_", "-" or blanks."""

HASH_COLUMNS: Final = ("hash", *HashKind)
TOMBSTONE_WORDS: Final = frozenset(
    ("tombstone", "deleted", "withdrawn", "retired", "removed", "expired")
)
ACTIVE_WORDS: Final = frozenset(("active", ""))

RECORD_LINES: Final = 50

_OUR_NAME: Final = {alias: ours for ours, aliases in COLUMNS.items() for alias in aliases.split()}
_HASH_CELL: Final = re.compile(r"[0-9A-Fa-f]{32,}|[A-Za-z0-9+/]{22,}={1,2}")
_SEPARATOR: Final = re.compile(r'"?sep=(.?)"?[,;\t ]*', re.I)
_WHOLE_NUMBER: Final = re.compile(r"^(\d+)\.0$")

Fields = dict[str, str]


class Header(NamedTuple):
    """``columns``: position → our name, for the columns that are known."""

    delimiter: str
    columns: dict[int, str]
    width: int


def header_of(line: str, delimiters: str = ",;\t") -> Header | None:
    """Parse a header line. Return None if it names no column of hashes."""
    for delimiter in delimiters:
        names = next(csv.reader([line], delimiter=delimiter), [])
        while names and not names[-1].strip():
            names.pop()
        columns = _columns(names)
        if any(name in HASH_COLUMNS for name in columns.values()):
            return Header(delimiter, columns, len(names))
    return None


def _columns(names: list[str]) -> dict[int, str]:
    """Return position → our name.

    "SHA-256 hash" or "File_MD5" count as their kind if no column has that exact name: many lists
    have both ``md5`` and ``md5_base64``.
    """
    plain = [re.sub(r"[\W_]+", "_", name.lower()).strip("_") for name in names]
    columns = {at: _OUR_NAME[name] for at, name in enumerate(plain) if name in _OUR_NAME}
    for at, name in enumerate(plain):
        if name not in _OUR_NAME and (kind := _kind_of(name)) not in {"", *columns.values()}:
            columns[at] = kind
    return columns


def _kind_of(name: str) -> str:
    try:
        return parse_kind(name)[0]
    except (BadValue, Unmatchable):
        return ""


def _find_header(lines: Iterator[tuple[int, str]]) -> tuple[Header | None, list[tuple[int, str]]]:
    """Return the header, and any line that was read but is not part of it.

    A header may be written as a comment. It counts if no other header follows.
    """
    delimiters, comment = ",;\t", ""
    for number, line in lines:
        if separator := _SEPARATOR.fullmatch(line):
            delimiters = "".join(dict.fromkeys(separator[1] + delimiters))
        elif _starts_as_comment(line):
            comment = line.lstrip('"# ')
        elif header := header_of(line, delimiters):
            return header, []
        else:
            return header_of(comment, delimiters), [(number, line)]
    return header_of(comment, delimiters), []


def matches(head: str) -> bool:
    """Return whether the first line is a header that names a hash column."""
    lines = (line for line in enumerate(head.splitlines(), 1) if line[1].strip())
    return _find_header(lines)[0] is not None


def read(source: Source, default_kind: HashKind | None = None) -> Iterator[Row]:
    """Yield the rows. `default_kind` applies to hashes without a kind. Raises WrongFormat."""
    lines = ((number, line) for number, line in source.lines() if line.strip())
    header, before = _find_header(lines)
    if header is None:
        raise WrongFormat("This is not a CSV file with a header that names a hash column.")
    for name, count in Counter(header.columns.values()).items():
        if count > 1:
            raise WrongFormat(f"{count} columns of this CSV file stand for “{name}”; keep one.")
    return _read(chain(before, lines), header, default_kind)


def _read(
    lines: Iterator[tuple[int, str]], header: Header, default_kind: HashKind | None
) -> Iterator[Row]:
    for number, text, problem in _records(lines, header):
        place = f"line {number}"
        try:
            if problem:
                raise BadValue(problem)
            fields = _fields(text, header)
            if fields is not None:
                yield from _rows(fields, place, default_kind)
        except BadValue as bad:
            yield InvalidRow(place, str(bad), excerpt(text))


def _records(lines: Iterator[tuple[int, str]], header: Header) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the text of one record, and what is wrong with it.

    A record with an odd number of quotes continues on the next line. If it has no valid end, its
    first line becomes an error, and the lines after it are read on their own.
    """
    again: deque[tuple[int, str]] = deque()
    while first := again.popleft() if again else next(lines, None):
        number, line = first
        if len(line) > LINE_CHARACTERS:
            yield number, line, f"the line is longer than {LINE_CHARACTERS} characters"
        elif _is_comment(line, header):
            continue
        elif line.count('"') % 2 == 0:
            yield number, line, ""
        else:
            more, record = _continued(line, chain(_emptied(again), lines), header)
            if record:
                yield number, record, ""
            else:
                yield number, line, "a quote is opened and not closed"
                again.extendleft(reversed(more))


def _emptied(lines: deque[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    while lines:
        yield lines.popleft()


def _continued(
    record: str, following: Iterable[tuple[int, str]], header: Header
) -> tuple[list[tuple[int, str]], str]:
    """Return the lines after one that opens a quote, and the record, "" without a valid end.

    A record has no valid end after RECORD_LINES, before a line that is a row of its own, or if the
    result is not CSV.
    """
    more: list[tuple[int, str]] = []
    for number, line in following:
        more.append((number, line))
        record += f"\n{line}"
        if line.count('"') % 2:
            return more, record if _cells(record, header) else ""
        if len(more) >= RECORD_LINES or len(record) > LINE_CHARACTERS or _is_row(line, header):
            break
    return more, ""


def _is_row(line: str, header: Header) -> bool:
    cells = next(csv.reader([line], delimiter=header.delimiter), [])
    return len(cells) == header.width and any(
        name in HASH_COLUMNS and _HASH_CELL.fullmatch(cells[at].strip())
        for at, name in header.columns.items()
    )


def _starts_as_comment(line: str) -> bool:
    return line.lstrip().removeprefix('"').startswith("#")


def _is_comment(line: str, header: Header) -> bool:
    """Return whether the line starts with ``#`` and is not a row whose first cell does."""
    if not _starts_as_comment(line):
        return False
    if header.columns.get(0) in HASH_COLUMNS:
        return True
    cells = next(csv.reader([line], delimiter=header.delimiter), [])
    return len(cells) != header.width or not any(cell.strip() for cell in cells[1:])


def _cells(text: str, header: Header) -> list[str]:
    """Return as many cells as the header has; [] if the text is not CSV or has more cells."""
    try:
        cells = next(csv.reader([text], delimiter=header.delimiter, strict=True), [])
    except csv.Error:
        return []
    more = header.width - len(cells)
    # Spreadsheets add empty cells at the end of a row, or leave them out.
    return cells + [""] * more if not any(cell.strip() for cell in cells[header.width :]) else []


def _fields(text: str, header: Header) -> Fields | None:
    cells = _cells(text, header)
    if not cells:
        found = next(csv.reader([text], delimiter=header.delimiter), [])
        if len(found) > header.width:
            raise BadValue(f"there are {len(found)} fields, the header has {header.width}")
        raise BadValue("this is not CSV: a quote stands where none can")
    if not any(cell.strip() for cell in cells):
        return None
    return {name: _text(cells[at]) for at, name in header.columns.items()}


def _text(cell: str) -> str:
    text = unescaped(cell)
    return text if text != cell else cell.strip()


def _rows(fields: Fields, place: str, default_kind: HashKind | None) -> Iterator[Row]:
    get = fields.get
    opinion = _opinion(get("opinion", ""))
    entry = HashRow(
        place=place,
        state=_state(get("state", ""), get("deleted")),
        media=media_of(get("media")),
        quality=parse_quality(get("quality")),
        source=clean(get("source")),
        # Spreadsheets and pandas write the id 17 as 17.0.
        source_id=clean_id(_WHOLE_NUMBER.sub(r"\1", get("source_id", ""))),
        owner=clean(get("owner")),
        category=clean(get("category")),
        severity=clean(get("severity")),
        tags=tags_of(get("tags")),
        note=clean(get("note"), NOTE_CHARACTERS),
        feedback=(Feedback(by="", opinion=opinion),) if opinion else (),
        updated_at=known_time(get("updated_at")),
        expires_at=parse_time(get("expires_at")),
    )
    named: list[tuple[str, str]] = [(kind, fields[kind]) for kind in HashKind if get(kind)]
    if value := get("hash"):
        named.append((get("kind") or guess_kind(value, default_kind), value))
    if not named and entry.state is State.TOMBSTONE and entry.source_id:
        yield entry
    elif not named:
        raise BadValue("there is no hash")
    yield from hash_rows(entry, named)


def _state(state: str, deleted: str | None) -> State:
    word = state.lower()
    if word not in TOMBSTONE_WORDS | ACTIVE_WORDS:
        raise BadValue(f"“{clean(state, 40)}” is not a state; write active or deleted")
    return State.TOMBSTONE if word in TOMBSTONE_WORDS or parse_flag(deleted) else State.ACTIVE


def _opinion(word: str) -> Opinion:
    try:
        return Opinion(re.sub(r"[\s-]+", "_", word.lower()))
    except ValueError:
        allowed = ", ".join(filter(None, Opinion))
        raise BadValue(f"“{clean(word, 40)}” is not an opinion; write {allowed}") from None
