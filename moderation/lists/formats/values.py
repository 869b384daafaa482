"""Text of a hash list → hashes, kinds, times, flags, opinions; pure.

Each function takes what the file says and raises ``BadValue`` with the reason when it cannot be
meant. Hex is read in either case; md5, sha1 and sha256 also as padded base64.
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
from datetime import datetime
from typing import Final

from moderation.lists.formats.rows import (
    BadRow,
    HashRow,
    Kind,
    Media,
    Row,
    SkippedHash,
    State,
)
from moderation.lists.formats.times import time_of

HEX_DIGITS: Final = {Kind.MD5: 32, Kind.SHA1: 40, Kind.SHA256: 64, Kind.PDQ: 64}
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
_IMAGE_FILES: Final = frozenset(
    (
        "jpg",
        "jpeg",
        "jfif",
        "png",
        "gif",
        "webp",
        "bmp",
        "tif",
        "tiff",
        "heic",
        "heif",
        "avif",
        "jxl",
        "jp2",
    )
)
_VIDEO_FILES: Final = frozenset(
    ("mp4", "m4v", "mov", "webm", "mkv", "avi", "wmv", "flv", "mpg", "mpeg", "3gp", "ts", "ogv")
)
_TRUE: Final = frozenset(("true", "t", "yes", "y", "1", "1.0", "1,0"))
_FALSE: Final = frozenset(("false", "f", "no", "n", "0", "0.0", "0,0", ""))
_NOTHING: Final = frozenset(("", "null", "none", "nan", "n/a", "\\n"))
"""What programs write into a cell that has no value."""
_HEX: Final = re.compile(r"[0-9a-f]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={1,2}")
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_EMPTY_FILE: Final = frozenset(
    hashlib.new(kind, b"", usedforsecurity=False).hexdigest()
    for kind in (Kind.MD5, Kind.SHA1, Kind.SHA256)
)


class BadValue(ValueError):
    """Why a value of a row cannot be taken; the text becomes a ``BadRow``'s reason."""


class Unmatchable(ValueError):
    """The kind of hash is a real one, but cannot be matched here."""


@functools.lru_cache(maxsize=256)
def parse_kind(name: str) -> tuple[Kind, Media]:
    """ "SHA2-256", "HASH_VIDEO_MD5", "ImagePDQ", "pdq_hash" → kind and what was hashed.

    Raises Unmatchable for PhotoDNA and its like, BadValue for words that name no hash.
    """
    word, media = re.sub(r"[\W_]", "", name.lower()), Media.UNKNOWN
    while True:
        word = _SAME_KIND.get(word, word)
        if word in UNMATCHABLE:
            raise Unmatchable(name)
        if word in HEX_DIGITS:
            return Kind(word), media
        # What stands after it goes first: "photo" also begins PhotoDNA.
        around = _AFTER_KIND.search(word) or _BEFORE_KIND.search(word)
        if around is None:
            raise BadValue(f"“{clean(name, 40)}” is not a known kind of hash")
        media = _MEDIA_OF_WORD.get(around[0], media)
        word = word[: around.start()] + word[around.end() :]


def parse_hash(kind: Kind, text: object) -> str:
    """The hash as lower-case hex, or BadValue: wrong length, not hex, or a hash of nothing."""
    if not isinstance(text, str):
        raise BadValue(f"the {kind} is missing")
    value = text.strip()
    if kind is not Kind.PDQ and _BASE64.fullmatch(value):
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


def guess_kind(text: str, default: Kind | None = None) -> Kind:
    """The kind of a hash that stands alone: `default`, or by its length; BadValue if unclear."""
    if default is not None:
        return default
    digits = len(text)
    if digits == HEX_DIGITS[Kind.PDQ] and _HEX.fullmatch(text.lower()):
        raise BadValue("64 hex digits may be a sha256 or a pdq; write the kind before the value")
    for kind in (Kind.MD5, Kind.SHA1):
        if digits == HEX_DIGITS[kind] and _HEX.fullmatch(text.lower()):
            return kind
    raise BadValue("this is not a hash")


def parse_quality(text: object) -> int | None:
    """PDQ quality 0-100, None if the list gives none; "95.0" and "95 %" are 95."""
    if _is_nothing(text):
        return None
    try:
        quality = float(str(text).strip().removesuffix("%").replace(",", "."))
    except ValueError:
        quality = math.nan
    # A fraction below 1 may be a share of 1, of which nobody knows.
    if not (quality in (0, 1) or 1 < quality <= 100):
        raise BadValue(f"the quality “{clean(text, 20)}” is not a number from 0 to 100")
    return round(quality)


def parse_flag(text: object) -> bool:
    """true/false in the spellings that lists use; nothing is false."""
    word = "" if _is_nothing(text) else str(text).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise BadValue(f"“{clean(text, 20)}” is neither true nor false")


def _is_nothing(text: object) -> bool:
    return text is None or str(text).strip().lower() in _NOTHING


def parse_time(value: object) -> datetime | None:
    """See ``times``. None when nothing, or 0, is given; BadValue when it is no time."""
    if value is None:
        return None
    text = str(value).strip()
    try:
        return time_of(text)
    except (ValueError, OverflowError):
        advice = "; write it as 2030-01-31" if text[:1].isdigit() else ""
        raise BadValue(f"“{clean(text, 40)}” is not a date{advice}") from None


def known_time(value: object) -> datetime | None:
    """`parse_time` for times nothing depends on: None when it is no time."""
    try:
        return parse_time(value)
    except BadValue:
        return None


def media_of(file_type: object) -> Media:
    """A MIME type, a file extension or a word ("image/png", ".MP4", "Video") → what it is."""
    word = str(file_type or "").strip().lower().lstrip(".")
    family, _, subtype = word.partition("/")
    if family in ("image", "photo") or subtype in _IMAGE_FILES or word in _IMAGE_FILES:
        return Media.IMAGE
    if family == "video" or subtype in _VIDEO_FILES or word in _VIDEO_FILES:
        return Media.VIDEO
    return Media.UNKNOWN


def clean(value: object, characters: int = NAME_CHARACTERS) -> str:
    """Text fit for the database and a page: one line, no NUL or lone surrogate, cut to length."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return _UNSTORABLE.sub("�", " ".join(text.split()))[:characters]


def clean_id(value: object) -> str:
    """An entry's id, never cut: two long ids must not become one. BadValue beyond 255."""
    if isinstance(value, dict | list):
        raise BadValue("the id is not a text or a number")
    text = clean(value, NAME_CHARACTERS + 1)
    if len(text) > NAME_CHARACTERS:
        raise BadValue(f"the id is longer than {NAME_CHARACTERS} characters")
    return text


def tags_of(value: object) -> tuple[str, ...]:
    """One text or a list of them, each split at commas and semicolons → tags, each once."""
    texts = value if isinstance(value, list | tuple) else [value]
    words = (
        clean(word) for text in texts for word in re.split("[,;]", clean(text, NOTE_CHARACTERS))
    )
    return tuple(dict.fromkeys(word for word in words if word))


def excerpt(text: object) -> str:
    """The first characters of a bad row."""
    return clean(text, EXCERPT_CHARACTERS)


def hash_rows(entry: HashRow, named: Iterable[tuple[str, object]]) -> Iterator[Row]:
    """The rows of one entry, from (kind as the list calls it, hash).

    A bad hash does not cost the entry its other hashes. A withdrawn entry with an id stays a
    tombstone even if its hash cannot be read, so that it is retired all the same.
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
                yield BadRow(entry.place, str(problem), excerpt(f"{name} {text}"))
        else:
            quality = entry.quality if kind is Kind.PDQ else None
            yield replace(
                entry, kind=kind, value=value, media=media or entry.media, quality=quality
            )
