"""JPEG: where the picture ends, how many scans it has, and what else is in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SOI: Final = b"\xff\xd8\xff"
EOI: Final = b"\xff\xd9"
MAX_PICTURES: Final = 16
"""Pictures looked for behind the first one: an MPO of a camera has one to five."""

_MAX_MARKERS: Final = 20_000
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Neither a stuffed byte of a scan nor one of its restarts nor padding."""

_ALONE: Final = frozenset({0x01, 0xD8})  # markers without a length
_PHOTOSHOP_PREVIEW: Final = re.compile(rb"8BIM\x04[\x09\x0c]")
_PREVIEW_HEAD: Final = 320  # its name and 28 bytes that describe it


@dataclass(frozen=True, slots=True)
class Jpeg:
    """``end``: the byte after EOI; None where there is none. ``scans``: up to there."""

    end: int | None
    scans: int


def read(data: bytes, start: int = 0) -> Jpeg:
    """Walks the markers of the picture that begins at ``start``."""
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
    """The JPEGs that follow the first one, as in MPO files; at most ``MAX_PICTURES``."""
    for _ in range(MAX_PICTURES):
        start = data.find(SOI, end)
        if start < 0:
            return
        found = read(data, start).end
        yield data[start:found]
        end = found or start + len(SOI)


def photoshop_preview(data: bytes) -> bytes | None:
    """The small JPEG that Photoshop leaves in a file's head."""
    found = _PHOTOSHOP_PREVIEW.search(data)
    if found is None:
        return None
    start = data.find(SOI, found.end(), found.end() + _PREVIEW_HEAD)
    return None if start < 0 else data[start : read(data, start).end]
