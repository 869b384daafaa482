"""CSV with a header: comma, semicolon or tab; in any order, under any of the names in COLUMNS.

Either one hash a line (``hash`` and ``kind``; a lone md5 or sha1 needs no kind) or several
(``md5``, ``sha1``, ``sha256``, ``pdq``). A quoted field may run over several lines. A quote that
is never closed costs the line it stands on, not the lines after it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from moderation.hashlists.errors import WrongFormat
from moderation.hashlists.rows import BadRow, Feedback, HashRow, Kind, Opinion, Row, State
from moderation.hashlists.source import LINE_CHARACTERS, Source
from moderation.hashlists.values import (
    NOTE_CHARACTERS,
    BadValue,
    clean,
    clean_id,
    excerpt,
    guess_kind,
    hash_rows,
    known_time,
    media_of,
    parse_flag,
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
"""Our name → the names it may have in a file, upper or lower case, with "_", "-" or blanks."""

HASH_COLUMNS: Final = ("hash", *Kind)
TOMBSTONE_WORDS: Final = frozenset(
    ("tombstone", "deleted", "withdrawn", "retired", "removed", "expired")
)
ACTIVE_WORDS: Final = frozenset(("active", ""))
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that starts so; the writer puts an apostrophe before it."""

RECORD_LINES: Final = 50

_OUR_NAME: Final = {alias: ours for ours, aliases in COLUMNS.items() for alias in aliases.split()}
_LOOKS_LIKE_A_ROW: Final = re.compile(r"\b[0-9A-Fa-f]{32,}\b")

Fields = dict[str, str]


class Header(NamedTuple):
    """``columns``: position → our name of the column, of those that are known."""

    delimiter: str
    columns: dict[int, str]
    width: int


def header_of(line: str) -> Header | None:
    """The first line of a file → what it says; None if it names no column of hashes."""
    for delimiter in ",;\t":
        names = next(csv.reader([line], delimiter=delimiter), [])
        plain = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names]
        columns = {at: _OUR_NAME[name] for at, name in enumerate(plain) if name in _OUR_NAME}
        if any(name in HASH_COLUMNS for name in columns.values()):
            return Header(delimiter, columns, len(names))
    return None


def matches(head: str) -> bool:
    """Whether the first line is a header that names a hash."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return header_of(first) is not None


def read(source: Source, default_kind: Kind | None = None) -> Iterator[Row]:
    """Yields the rows; `default_kind` is that of hashes without one. Raises WrongFormat."""
    lines = ((number, line) for number, line in source.lines() if line.strip())
    header = header_of(next(lines, (0, ""))[1])
    if header is None:
        raise WrongFormat("This is not a CSV file with a header that names a hash column.")
    for name, count in Counter(header.columns.values()).items():
        if count > 1:
            raise WrongFormat(f"{count} columns of this CSV file stand for “{name}”; keep one.")
    return _read(lines, header, default_kind)


def _read(
    lines: Iterator[tuple[int, str]], header: Header, default_kind: Kind | None
) -> Iterator[Row]:
    for number, text, problem in _records(lines):
        place = f"line {number}"
        try:
            if problem:
                raise BadValue(problem)
            yield from _rows(_fields(text, header), place, default_kind)
        except BadValue as bad:
            yield BadRow(place, str(bad), excerpt(text))


def _records(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """(line number, text of one record, what is wrong with it).

    An odd number of quotes means that the record goes on. It is given up, and reading goes on
    with the next line, at the end of the file, after RECORD_LINES, or at a line that holds a hash.
    """
    waiting: list[tuple[int, str]] = []
    for number, line in lines:
        if len(line) > LINE_CHARACTERS:
            yield from _unclosed(waiting)
            waiting = []
            yield number, line, f"the line is longer than {LINE_CHARACTERS} characters"
            continue
        if waiting and _LOOKS_LIKE_A_ROW.search(line):
            yield from _unclosed(waiting)
            waiting = []
        waiting.append((number, line))
        if sum(text.count('"') for _, text in waiting) % 2 == 0:
            yield waiting[0][0], "\n".join(text for _, text in waiting), ""
            waiting = []
        elif len(waiting) >= RECORD_LINES:
            yield from _unclosed(waiting)
            waiting = []
    yield from _unclosed(waiting)


def _unclosed(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """The first line opens a quote that nothing closes; those after it stand for themselves."""
    for number, text in lines:
        yield number, text, "a quote is opened and not closed" if text.count('"') % 2 else ""


def _fields(text: str, header: Header) -> Fields:
    try:
        cells = next(csv.reader([text], delimiter=header.delimiter, strict=True), [])
    except csv.Error as error:
        raise BadValue(f"this is not CSV: {error}") from error
    if len(cells) != header.width:
        raise BadValue(f"there are {len(cells)} fields, the header has {header.width}")
    return {name: _unescaped(cells[at]) for at, name in header.columns.items()}


def _unescaped(cell: str) -> str:
    escaped = cell.startswith("'") and cell.lstrip("'").startswith(FORMULA_STARTS)
    return cell[1:] if escaped else cell.strip()


def _rows(fields: Fields, place: str, default_kind: Kind | None) -> Iterator[Row]:
    get = fields.get
    opinion = _opinion(get("opinion", ""))
    entry = HashRow(
        place=place,
        state=_state(get("state", ""), get("deleted")),
        media=media_of(get("media")),
        quality=parse_quality(get("quality")),
        source=clean(get("source")),
        source_id=clean_id(get("source_id")),
        owner=clean(get("owner")),
        category=clean(get("category")),
        severity=clean(get("severity")),
        tags=tags_of(get("tags")),
        note=clean(get("note"), NOTE_CHARACTERS),
        feedback=(Feedback(by="", opinion=opinion),) if opinion else (),
        updated_at=known_time(get("updated_at")),
        expires_at=parse_time(get("expires_at")),
    )
    named: list[tuple[str, str]] = [(kind, fields[kind]) for kind in Kind if get(kind)]
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
