"""CSV files, line by line, whose cells no spreadsheet runs as formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that starts with one of these, which can run a command on the reader's
machine. https://owasp.org/www-community/attacks/CSV_Injection"""


class _Echo:
    """A file for ``csv`` whose ``write`` returns each line, so that lines can be streamed."""

    def write(self, line: str) -> str:
        return line


def csv_lines(
    columns: Sequence[str], rows: Iterable[Iterable[Any]], *, line_end: str = "\r\n"
) -> Iterator[str]:
    write = csv.writer(_Echo(), lineterminator=line_end).writerow
    yield write(columns)
    for row in rows:
        yield write([cell(value) for value in row])


def cell(value: Any) -> str:
    """Return a value as text: None is empty, a time is ISO 8601, a tuple is joined by ``;``, any
    other value that is not text is JSON."""
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, tuple):
        value = ";".join(value)
    return escaped(str(value) if isinstance(value, str) else orjson.dumps(value).decode())


def escaped(text: str) -> str:
    """Return the text, with an apostrophe before it if a spreadsheet would run it."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA_STARTS) else text


def unescaped(text: str) -> str:
    return text[1:] if text.startswith("'") and escaped(text) != text else text
