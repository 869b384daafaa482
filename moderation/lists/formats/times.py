"""The ways in which hash lists write a time → a time; pure.

A number means a time in one way only: the ranges below do not overlap, and a number outside all of
them is refused. Read as seconds since 1970, a spreadsheet's day or a year would lie in 1970, and
the entry would silently count as expired.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

NEVER: Final = frozenset((
    "", "0", "0.0", "null", "none", "nan", "nat", "n/a", "\\n", "0000-00-00", "0000-00-00 00:00:00",
    "1900-01-00",
))  # fmt: skip
"""What programs write where there is no time."""

_ZEROS: Final = frozenset(
    datetime(*date, tzinfo=UTC)
    for date in ((1, 1, 1), (1899, 12, 30), (1899, 12, 31), (1970, 1, 1))
)
"""The day zero of .NET, of two spreadsheets and of Unix: no time either."""

_FIRST: Final = datetime(1980, 1, 1, tzinfo=UTC)
_SPREADSHEET_ZERO: Final = datetime(1899, 12, 30, tzinfo=UTC)
_UNIX_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = (29_221, 2_958_466)
"""A spreadsheet's days, 1980 to 9999."""
_SECONDS: Final = (315_532_800, 253_402_300_800)
"""Since 1970, for 1980 to 9999; the last day is a common way to write "never"."""
_FINER_END: Final = 10_000_000_000
"""Milli-, micro- and nanoseconds count up to the year 2286, short of the next unit."""

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")
_COMPACT: Final = re.compile(r"(?:19[89]\d|2[01]\d\d)\d{4}(?:\d{4}(?:\d{2})?)?")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,? (.+))?")


def time_of(text: str) -> datetime | None:
    """The time, in UTC where no zone is given; None for nothing. Raises ValueError.

    ISO 8601, also with slashes, without separators or after the custom of ``31.12.2030``; a
    spreadsheet's day; seconds, milli-, micro- or nanoseconds since 1970.
    """
    word = " ".join(text.split())
    if word.lower() in NEVER:
        return None
    if _NUMBER.fullmatch(word):
        return _of_number(word.replace(",", "."))
    time = datetime.fromisoformat(_as_iso(word))
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    if time in _ZEROS:
        return None
    if time < _FIRST:
        raise ValueError("before 1980")
    return time


def _of_number(text: str) -> datetime | None:
    whole = text.partition(".")[0]
    if _COMPACT.fullmatch(whole):
        padded = whole.ljust(14, "0")
        return datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    number = float(text)
    if not number:
        return None
    if _DAYS[0] <= number < _DAYS[1]:
        return _SPREADSHEET_ZERO + timedelta(days=number)
    for unit, end in ((1, _SECONDS[1]), (1e3, _FINER_END), (1e6, _FINER_END), (1e9, _FINER_END)):
        if _SECONDS[0] <= number / unit < end:
            return _UNIX_ZERO + timedelta(seconds=number / unit)
    raise ValueError("a number of no known unit")


def _as_iso(text: str) -> str:
    """ISO 8601 for the spellings that can mean one date only."""
    text = re.sub(r" ?(?:UTC|GMT)$", "+00:00", text)
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year, clock = found.groups()
        text = f"{year}-{int(month):02}-{int(day):02}" + (f" {clock}" if clock else "")
    return re.sub(r"^(\d{4})/(\d{2})/(\d{2})", r"\1-\2-\3", text)
