"""Read one hash per line: ``kind value``, a value alone, or the output of ``md5sum`` and the like.

Also reads the ``--tag`` format (``MD5 (name) = value``, as BSD and OpenSSL print it) and escaped
file names. Blank lines and lines that start with ``#`` are ignored. Text after a pdq is its
quality; text after any other hash is its note. A lone value of 64 digits needs a default kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from moderation.lists.formats.rows import HashKind, HashRow, InvalidRow, Row
from moderation.lists.formats.source import LINE_CHARACTERS, Source, WrongFormat
from moderation.lists.formats.values import (
    NOTE_CHARACTERS,
    BadValue,
    Unmatchable,
    clean,
    excerpt,
    guess_kind,
    hash_rows,
    parse_kind,
    parse_quality,
)

NAME: Final = "list of hashes"

_TAGGED: Final = re.compile(r"([\w/-]+) ?\((.*)\) ?= ?(\S+)")
_ESCAPED: Final = re.compile(r"\\([\\nr])")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{32,128}|[A-Za-z0-9+/]{22,86}={1,2}")


def matches(head: str) -> bool:
    """Return whether one of the first lines has a hash as its first or second word."""
    return any(
        _HASH.fullmatch(word)
        for line in head.splitlines()
        if _says_something(line)
        for word in (*line.split(maxsplit=2)[:2], _parts(line)[1])
    )


def read(source: Source, default_kind: HashKind | None = None) -> Iterator[Row]:
    """Yield the rows. `default_kind` applies to values without a kind. Raises WrongFormat."""
    if not matches(source.head):
        raise WrongFormat("This is not a list of hashes: write a kind and a hash on each line.")
    return _read(source, default_kind)


def _read(source: Source, default_kind: HashKind | None) -> Iterator[Row]:
    for number, line in source.lines():
        if not _says_something(line):
            continue
        place = f"line {number}"
        try:
            yield from _rows(line, place, default_kind)
        except BadValue as bad:
            yield InvalidRow(place, str(bad), excerpt(line))


def _rows(line: str, place: str, default_kind: HashKind | None) -> Iterator[Row]:
    if len(line) > LINE_CHARACTERS:
        raise BadValue(f"the line is longer than {LINE_CHARACTERS} characters")
    name, value, after = _parts(line)
    kind = name or guess_kind(value, default_kind)
    is_pdq = _kind_of(kind) is HashKind.PDQ
    entry = HashRow(
        place=place,
        quality=parse_quality(after) if is_pdq else None,
        note="" if is_pdq else clean(after.removeprefix("*"), NOTE_CHARACTERS),
    )
    yield from hash_rows(entry, [(kind, value)])


def _parts(line: str) -> tuple[str, str, str]:
    """Return the kind ("" if the line names none), the value, and the text after them."""
    line = line.strip()
    escaped = line.startswith("\\")
    line = line.removeprefix("\\") if escaped else line
    tagged = _TAGGED.fullmatch(line)
    if tagged and _kind_of(tagged[1]):
        kind, after, value = tagged.groups()
    else:
        first, rest = [*line.split(maxsplit=1), "", ""][:2]
        kind = first if _kind_of(first) else ""
        value, after = [*rest.split(maxsplit=1), "", ""][:2] if kind else (first, rest)
    if escaped:
        after = _ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else " ", after)
    return kind, value, after


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _kind_of(word: str) -> str:
    """Return the kind that a word names, even if it cannot be matched; "" if it names none."""
    try:
        return parse_kind(word)[0]
    except Unmatchable:
        return word
    except BadValue:
        return ""
