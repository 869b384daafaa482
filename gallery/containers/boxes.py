"""The boxes of ISO files: HEIC, AVIF, MP4, JPEG 2000 and JPEG XL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_LARGEST_FTYP: Final = 512


def top_level(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte of its content, end) of each box, up to one that makes no sense."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if size and size < head or end > len(data):
            return
        yield kind, at + head, end
        at = end


def find_file(data: bytes, start: int) -> int | None:
    """Where an ISO file begins in the middle of other bytes; None if none does."""
    at = data.find(b"ftyp", start + 4)
    while at >= 0:
        if 16 <= int.from_bytes(data[at - 4 : at], "big") <= _LARGEST_FTYP:
            return at - 4
        at = data.find(b"ftyp", at + 4)
    return None


def nclx(data: bytes) -> tuple[int, int] | None:
    """(primaries, transfer function) that an AVIF's head states in CICP numbers."""
    at = data.find(b"colrnclx")
    if at < 0 or at + 12 > len(data):
        return None
    return int.from_bytes(data[at + 8 : at + 10], "big"), int.from_bytes(
        data[at + 10 : at + 12], "big"
    )


def other_half(data: bytes) -> bytes | None:
    """An AVIF that has a picture and an animation, made to show the one that its brand does not
    choose; None if it has but one of them."""
    kinds = {kind for kind, _, _ in top_level(data)}
    if not {b"meta", b"moov"} <= kinds:
        return None
    return data[:8] + (b"avif" if data[8:12] == b"avis" else b"avis") + data[12:]


def motion_clip(data: bytes) -> bytes | None:
    """The clip of a HEIC motion photo: in its own box, or appended."""
    end = 0
    for kind, start, end in top_level(data):
        if kind == b"mpvd":
            return data[start:end]
    if end < len(data) and (at := find_file(data, end)) is not None:
        return data[at:]
    return None
