"""Read the records of JSON documents of any size, one at a time.

A file may hold one document, or several one after the other (the saved pages of an API). The
records are in an array under one key of the document, or the document is that array.

This module only finds quotes and brackets. Each record is parsed on its own, so an invalid record
does not affect the others. A streaming parser (ijson was tried) stops for good at the first such
record, and 200 KB of nested brackets made it use 24 GB of memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from gallery.shared import exact_json
from moderation.lists.formats.rows import InvalidRow, Row
from moderation.lists.formats.source import CHUNK_BYTES, NESTING, BrokenFile, Source, WrongFormat
from moderation.lists.formats.values import BadValue, excerpt

RECORD_NESTING: Final = 1_000
"""Just below the nesting that orjson can parse."""

Record = dict[str, Any]
Path = tuple[str | None, ...]
"""The keys that lead to the array of records. None means "each element of this array"."""

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN: Final = re.compile(rb'[^"\[\]{}:]*+(' + _STRING + rb"|[\[\]{}:])", re.DOTALL)
_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+([\[\]{}])", re.DOTALL)
"""Both match up to the next token, group 1; possessive, so never from inside a string."""


def rows_of_records(
    source: Source, path: Path, rows: Callable[[Record, str], Iterator[Row]], *, format_name: str
) -> Iterator[Row]:
    """Yield the rows of `rows(record, place)` for each record in the array at `path`.

    A record that is not a JSON object, or for which `rows` raises BadValue, becomes an InvalidRow.
    Raises WrongFormat if the file has no such array, or breaks off before its first record.
    """
    if source.encoding != "utf-8":
        raise WrongFormat(f"This {format_name} file is in {source.encoding}; save it as UTF-8.")
    splitter = _Splitter(source, () if source.head.lstrip().startswith("[") else path)
    count = 0
    try:
        for count, raw in enumerate(splitter, 1):
            place = f"record {count}"
            try:
                yield from rows(_parsed(raw), place)
            except BadValue as bad:
                yield InvalidRow(place, str(bad), excerpt(raw[:500].decode(errors="replace")))
    except BrokenFile as broken:
        if not count:
            raise WrongFormat(f"This is not a {format_name} file: {broken}.") from broken
        reason = f"the file breaks off: {broken}"
        yield InvalidRow(f"after record {count}", reason, "", ends_file=True)
    if not splitter.found:
        names = ".".join(key for key in path if key)
        raise WrongFormat(f"This is not a {format_name} file: it has no list “{names}”.")


def _parsed(raw: bytes) -> Record:
    try:
        # Keep long ids exactly, as text.
        record = exact_json.loads(raw, _whole_number)
    except orjson.JSONDecodeError as error:
        raise BadValue(f"this is not JSON: {error.msg}") from error
    except ValueError as error:
        raise BadValue(str(error)) from error
    if not isinstance(record, dict):
        raise BadValue("this is not an object with fields")
    return record


def _whole_number(digits: str) -> int | str:
    try:
        return exact_json.refuse(digits)
    except exact_json.TooLong:
        return digits


class _Splitter:
    """Iterates over the elements of the arrays at `path`, as bytes.

    ``found``: whether there was such an array. ``_keep``: start of the part of the buffer that is
    still needed; None outside the arrays.
    """

    def __init__(self, source: Source, path: Path) -> None:
        self.found = False
        self._source, self._path = source, [None, *path]
        self._buffer, self._position = b"", 0
        self._keep: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        stack: list[str | None] = []
        word, key = "", None
        while token := self._next(_TOKEN):
            match token[1]:
                case b"{" | b"[" as bracket:
                    stack.append(key)
                    key = None
                    if bracket == b"[" and stack == self._path:
                        yield from self._elements()
                        stack.pop()
                    elif len(stack) > NESTING:
                        raise BrokenFile("its brackets are nested too deeply")
                case b"}" | b"]":
                    key = None
                    if not stack:
                        raise BrokenFile("a bracket is closed that was not opened")
                    stack.pop()
                case b":":
                    key = word
                case string:
                    word = string[1:-1].decode(errors="replace")
        if stack:
            raise BrokenFile("it is cut short")

    def _elements(self) -> Iterator[bytes]:
        """Yield the elements of the array that was just opened.

        Text between elements that is not an object or array is yielded as one element.
        """
        self.found, self._keep = True, self._position
        depth = 0
        while token := self._next(_BRACKET):
            opens = token[1] in (b"{", b"[")
            if depth == 0:
                if between := self._kept(token.start(1)).strip(b", \t\r\n"):
                    yield between
                if not opens:
                    self._keep = None
                    return
            depth += 1 if opens else -1
            if depth > RECORD_NESTING:
                raise BrokenFile("a record is nested too deeply")
            if depth == 0:
                yield self._kept(token.end())
                self._source.next_record()
        raise BrokenFile("it is cut short")

    def _kept(self, end: int) -> bytes:
        start, self._keep = self._keep, end
        return self._buffer[start:end]

    def _next(self, token: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Return the next token, None at the end. Reads on as needed."""
        while (found := token.match(self._buffer, self._position)) is None:
            if self._keep is None and self._position:
                self._source.next_record()
            # Double the size, so that a long record is not matched again for each chunk.
            chunk = self._source.read(max(CHUNK_BYTES, len(self._buffer)))
            if not chunk:
                return None
            cut = self._position if self._keep is None else self._keep
            self._buffer = self._buffer[cut:] + chunk
            self._position -= cut
            if self._keep is not None:
                self._keep = 0
        self._position = found.end()
        return found
