"""Reads a JPEG's structure: where the picture ends, its scans, and other pictures in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SOI: Final = b"\xff\xd8\xff"
EOI: Final = b"\xff\xd9"
MAX_PICTURES: Final = 16
"""Pictures read after the first one; a camera's MPO has one to five."""

MAX_PREVIEWS: Final = 256
"""Previews read from a header. Programs store one or two, but bytes that only look like the
beginning of a preview must not hide a real one."""

_MAX_MARKERS: Final = 20_000
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Matches no stuffed byte of a scan, no restart marker and no padding."""

_ALONE: Final = frozenset({0x01, 0xD8})  # markers without a length


@dataclass(frozen=True, slots=True)
class Jpeg:
    """``end``: the byte after EOI, None if there is no EOI. ``scans``: their number up to there."""

    end: int | None
    scans: int


def read(data: bytes, start: int = 0) -> Jpeg:
    """Read the markers of the picture that begins at ``start``."""
    at, scans = start + 2, 0
    for _ in range(_MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None:
            break
        marker, at = data[found.start() + 1], found.end()
        if marker == EOI[1]:
            return Jpeg(at, scans)
        if marker in _ALONE:
            continue
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2], "big")
    return Jpeg(None, scans)


def further_pictures(data: bytes, end: int) -> Iterator[bytes]:
    """Yield the JPEGs after the first one, as in MPO files; at most ``MAX_PICTURES``."""
    for _ in range(MAX_PICTURES):
        start = data.find(SOI, end)
        if start < 0:
            return
        found = read(data, start).end
        yield data[start:found]
        end = found or start + len(SOI)


def previews(data: bytes) -> Iterator[bytes]:
    """Yield at most ``MAX_PREVIEWS`` small JPEGs in a file's header (EXIF, JFIF, Photoshop)."""
    found = 0
    for start, end in _application_segments(data):
        while found < MAX_PREVIEWS and (start := data.find(SOI, start, end)) >= 0:
            found += 1
            inside = data[start:end]
            length = read(inside).end
            yield inside[:length]
            start += length or len(SOI)


def _application_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the contents of APP0 to APP15, up to the first scan."""
    at = len(SOI) - 1
    for _ in range(_MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or data[found.start() + 1] in (0xDA, EOI[1]):
            return
        start = found.end()
        if data[start - 1] in _ALONE:
            at = start
            continue
        at = start + int.from_bytes(data[start : start + 2], "big")
        if 0xE0 <= data[start - 1] <= 0xEF:
            yield start + 2, at
