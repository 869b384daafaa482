"""Parse the values of a hash list: hashes, kinds, times, flags, opinions. Pure.

Each function raises ``BadValue`` with a reason for invalid text. Hex is read in upper or lower
case; md5, sha1 and sha256 also as padded base64.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from moderation.lists.formats.rows import (
    HashKind,
    HashRow,
    InvalidRow,
    Media,
    Row,
    SkippedHash,
    State,
)

HEX_DIGITS: Final = {HashKind.MD5: 32, HashKind.SHA1: 40, HashKind.SHA256: 64, HashKind.PDQ: 64}
UNMATCHABLE: Final = frozenset((
    "pdna", "photodna", "netclean", "videntifier", "tmk", "tmkpdqf", "vpdq", "ssvhpdna",
    "ssvhsaferhash", "sha512", "sha384", "pdqocr", "text", "textstring", "textpdf", "texttlsh",
    "tlsh", "rawtext", "trendquery", "url", "urlmd5", "uri", "domain", "ipaddress", "unknown",
))  # fmt: skip
NAME_CHARACTERS: Final = 255
NOTE_CHARACTERS: Final = 2_000
EXCERPT_CHARACTERS: Final = 120

_MEDIA_OF_WORD: Final = {"image": Media.IMAGE, "photo": Media.IMAGE, "video": Media.VIDEO}
_AFTER_KIND: Final = re.compile(
    "(hash|sum|checksum|digest|value|hex|base64|file|media|image|photo|video)$"
)
_BEFORE_KIND: Final = re.compile("^(hash|file|media|image|photo|video)")
_SAME_KIND: Final = {f"sha2{bits}": f"sha{bits}" for bits in (256, 384, 512)} | {"pdq256": "pdq"}
_IMAGE_FILES: Final = frozenset((
    "jpg", "jpeg", "jfif", "png", "gif", "webp", "bmp", "tif", "tiff", "heic", "heif", "avif",
    "jxl", "jp2",
))  # fmt: skip
_VIDEO_FILES: Final = frozenset(
    ("mp4", "m4v", "mov", "webm", "mkv", "avi", "wmv", "flv", "mpg", "mpeg", "3gp", "ts", "ogv")
)
_TRUE: Final = frozenset(("true", "t", "yes", "y", "1", "1.0", "1,0"))
_FALSE: Final = frozenset(("false", "f", "no", "n", "0", "0.0", "0,0", ""))
_NOTHING: Final = frozenset(("", "null", "none", "nan", "n/a", "\\n"))
"""What programs write into a cell without a value."""
_HEX: Final = re.compile(r"[0-9a-f]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={1,2}")
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_EMPTY_FILE: Final = frozenset(
    hashlib.new(kind, b"", usedforsecurity=False).hexdigest()
    for kind in (HashKind.MD5, HashKind.SHA1, HashKind.SHA256)
)


class BadValue(ValueError):
    """The reason why a value cannot be used. It becomes the reason of an ``InvalidRow``."""


class Unmatchable(ValueError):
    """A known kind of hash that this service cannot match."""


@functools.lru_cache(maxsize=256)
def parse_kind(name: str) -> tuple[HashKind, Media]:
    """Return the kind of hash and media for names like "SHA2-256" or "HASH_VIDEO_MD5".

    Raises Unmatchable for kinds like PhotoDNA, BadValue for words that name no hash.
    """
    word, media = re.sub(r"[\W_]", "", name.lower()), Media.UNKNOWN
    while True:
        word = _SAME_KIND.get(word, word)
        if word in UNMATCHABLE:
            raise Unmatchable(name)
        if word in HEX_DIGITS:
            return HashKind(word), media
        # Remove suffixes first: "photo" is also the beginning of PhotoDNA.
        around = _AFTER_KIND.search(word) or _BEFORE_KIND.search(word)
        if around is None:
            raise BadValue(f"“{clean(name, 40)}” is not a known kind of hash")
        media = _MEDIA_OF_WORD.get(around[0], media)
        word = word[: around.start()] + word[around.end() :]


def parse_hash(kind: HashKind, text: object) -> str:
    """Return the hash as lower-case hex.

    Raises BadValue if it has a wrong length, is not hex, is of an empty file, or repeats one digit.
    """
    if not isinstance(text, str):
        raise BadValue(f"the {kind} is missing")
    value = text.strip()
    if kind is not HashKind.PDQ and _BASE64.fullmatch(value):
        value = _from_base64(value)
    value = value.lower()
    digits = HEX_DIGITS[kind]
    if len(value) != digits:
        raise BadValue(f"{kind} needs {digits} hex digits, this has {len(value)} characters")
    if not _HEX.fullmatch(value):
        raise BadValue(f"{kind} needs {digits} hex digits, this has other characters")
    if value in _EMPTY_FILE:
        raise BadValue(f"this {kind} is that of an empty file")
    if len(set(value)) == 1:
        raise BadValue(f"one repeated digit is the {kind} of no picture")
    return value


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return text


def guess_kind(text: str, default: HashKind | None = None) -> HashKind:
    """Return `default`, or the kind of a hash by its length. Raises BadValue if it is unclear."""
    if default is not None:
        return default
    digits = len(text)
    if digits == HEX_DIGITS[HashKind.PDQ] and _HEX.fullmatch(text.lower()):
        raise BadValue("64 hex digits may be a sha256 or a pdq; write the kind before the value")
    for kind in (HashKind.MD5, HashKind.SHA1):
        if digits == HEX_DIGITS[kind] and _HEX.fullmatch(text.lower()):
            return kind
    raise BadValue("this is not a hash")


def parse_quality(text: object) -> int | None:
    """Return the PDQ quality, 0 to 100; None if there is none. "95.0" and "95 %" are 95."""
    if _is_nothing(text):
        return None
    try:
        quality = float(str(text).strip().removesuffix("%").replace(",", "."))
    except ValueError:
        quality = math.nan
    # A fraction below 1 is ambiguous: it may be on a scale from 0 to 1.
    if not (quality in (0, 1) or 1 < quality <= 100):
        raise BadValue(f"the quality “{clean(text, 20)}” is not a number from 0 to 100")
    return round(quality)


def parse_flag(text: object) -> bool:
    """Parse true or false in the spellings that lists use. Nothing means false."""
    word = "" if _is_nothing(text) else str(text).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise BadValue(f"“{clean(text, 20)}” is neither true nor false")


def _is_nothing(text: object) -> bool:
    return text is None or str(text).strip().lower() in _NOTHING


def parse_time(value: object) -> datetime | None:
    """Parse a time like ``time_of``. Raises ``BadValue`` if it is not a time."""
    if value is None:
        return None
    text = str(value).strip()
    try:
        return time_of(text)
    except (ValueError, OverflowError):
        advice = "; write it as 2030-01-31" if text[:1].isdigit() else ""
        raise BadValue(f"“{clean(text, 40)}” is not a date{advice}") from None


def known_time(value: object) -> datetime | None:
    """Parse a time that nothing depends on: return None if it is invalid."""
    try:
        return parse_time(value)
    except BadValue:
        return None


def media_of(file_type: object) -> Media:
    """Return the media of a MIME type, file extension or word ("image/png", ".MP4", "Video")."""
    word = str(file_type or "").strip().lower().lstrip(".")
    family, _, subtype = word.partition("/")
    if family in ("image", "photo") or subtype in _IMAGE_FILES or word in _IMAGE_FILES:
        return Media.IMAGE
    if family == "video" or subtype in _VIDEO_FILES or word in _VIDEO_FILES:
        return Media.VIDEO
    return Media.UNKNOWN


def clean(value: object, characters: int = NAME_CHARACTERS) -> str:
    """Make text fit for the database and pages: one line, no NUL, no lone surrogate, cut."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return _UNSTORABLE.sub("�", " ".join(text.split()))[:characters]


def clean_id(value: object) -> str:
    """Clean an entry's id without cutting it: two long ids must not become one.

    Raises BadValue if it has more than 255 characters.
    """
    if isinstance(value, dict | list):
        raise BadValue("the id is not a text or a number")
    text = clean(value, NAME_CHARACTERS + 1)
    if len(text) > NAME_CHARACTERS:
        raise BadValue(f"the id is longer than {NAME_CHARACTERS} characters")
    return text


def tags_of(value: object) -> tuple[str, ...]:
    """Split a text, or each text of a list, at commas and semicolons. Return each tag once."""
    texts = value if isinstance(value, list | tuple) else [value]
    words = (
        clean(word) for text in texts for word in re.split("[,;]", clean(text, NOTE_CHARACTERS))
    )
    return tuple(dict.fromkeys(word for word in words if word))


def excerpt(text: object) -> str:
    return clean(text, EXCERPT_CHARACTERS)


def hash_rows(entry: HashRow, named: Iterable[tuple[str, object]]) -> Iterator[Row]:
    """Yield the rows of one entry, from tuples of kind (as the list names it) and hash.

    A bad hash does not affect the entry's other hashes. A withdrawn entry with an id stays a
    tombstone even if its hash cannot be read, so that it is still retired.
    """
    for name, text in named:
        try:
            kind, media = parse_kind(name)
            value = parse_hash(kind, text)
        except (BadValue, Unmatchable) as problem:
            if entry.state is State.TOMBSTONE and entry.source_id:
                yield entry
            elif isinstance(problem, Unmatchable):
                yield SkippedHash(entry.place, clean(name))
            else:
                yield InvalidRow(entry.place, str(problem), excerpt(f"{name} {text}"))
        else:
            quality = entry.quality if kind is HashKind.PDQ else None
            yield replace(
                entry, kind=kind, value=value, media=media or entry.media, quality=quality
            )


NEVER: Final = frozenset((
    "", "0", "0.0", "null", "none", "nan", "nat", "n/a", "\\n", "0000-00-00", "0000-00-00 00:00:00",
    "1900-01-00",
))  # fmt: skip
"""What programs write if there is no time."""

_ZEROS: Final = frozenset(
    datetime(*date, tzinfo=UTC)
    for date in ((1, 1, 1), (1899, 12, 30), (1899, 12, 31), (1970, 1, 1))
)
"""Day zero of .NET, of two spreadsheets and of Unix. These also mean "no time"."""

_FIRST: Final = datetime(1980, 1, 1, tzinfo=UTC)
_SPREADSHEET_ZERO: Final = datetime(1899, 12, 30, tzinfo=UTC)
_UNIX_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = (29_221, 2_958_466)
"""Day numbers of a spreadsheet, for the years 1980 to 9999."""
_SECONDS: Final = (315_532_800, 253_402_300_800)
"""Seconds since 1970, for 1980 to 9999. The last day is a common way to write "never"."""
_FINER_END: Final = 10_000_000_000
"""Milli-, micro- and nanoseconds end at the year 2286, below the next unit's range."""

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")
_COMPACT: Final = re.compile(r"(?:19[89]\d|2[01]\d\d)\d{4}(?:\d{4}(?:\d{2})?)?")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,? (.+))?")


def time_of(text: str) -> datetime | None:
    """Parse a time, in UTC if it has no zone. Return None for nothing. Raises ``ValueError``.

    Accepts ISO 8601, also with slashes, without separators or as ``31.12.2030``; day numbers of a
    spreadsheet; seconds, milli-, micro- or nanoseconds since 1970. Each number has only one
    meaning: the ranges do not overlap, and a number outside all of them is refused. Otherwise an
    entry could silently expire in 1970.
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
    text = re.sub(r" ?(?:UTC|GMT)$", "+00:00", text)
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year, clock = found.groups()
        text = f"{year}-{int(month):02}-{int(day):02}" + (f" {clock}" if clock else "")
    return re.sub(r"^(\d{4})/(\d{2})/(\d{2})", r"\1-\2-\3", text)
