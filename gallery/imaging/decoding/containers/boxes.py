"""Reads the boxes of ISO files: HEIC, AVIF, MP4, JPEG 2000 and JPEG XL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_ITEMS: Final = 16

_LARGEST_FTYP: Final = 512


def top_level(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of its content, end) of each box, up to an invalid one."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if 0 < size < head or end > len(data):
            return
        yield kind, at + head, end
        at = end


def find_file(data: bytes, start: int) -> int | None:
    """Return the position of an ISO file inside other bytes, None if there is none."""
    at = data.find(b"ftyp", start + 4)
    while at >= 0:
        if 16 <= int.from_bytes(data[at - 4 : at], "big") <= _LARGEST_FTYP:
            return at - 4
        at = data.find(b"ftyp", at + 4)
    return None


def nclx(data: bytes) -> tuple[int, int] | None:
    """Return the CICP numbers of primaries and transfer function in an AVIF's header."""
    at = data.find(b"colrnclx")
    if at < 0 or at + 12 > len(data):
        return None
    return int.from_bytes(data[at + 8 : at + 10], "big"), int.from_bytes(
        data[at + 10 : at + 12], "big"
    )


def jp2_profile(data: bytes) -> bytes | None:
    at = data.find(b"colr\x02")
    if at < 4:
        return None
    return data[at + 7 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def other_half(data: bytes) -> bytes | None:
    """Return an AVIF with its brand swapped, so that readers show its animation instead of its
    picture or the reverse. None if it has only one of them."""
    kinds = {kind for kind, _, _ in top_level(data)}
    if not {b"meta", b"moov"} <= kinds:
        return None
    return data[:8] + (b"avif" if data[8:12] == b"avis" else b"avis") + data[12:]


def with_thumbnails(data: bytes) -> bytes | None:
    """Change a HEIC so that readers list its thumbnails as pictures. None if it has none."""
    changed = bytearray(data)
    for at, kind, _, _ in _references(data):
        if kind == b"thmb":
            changed[at : at + 4] = b"skip"
    return None if changed == data else bytes(changed)


def other_primaries(data: bytes) -> Iterator[bytes]:
    """Yield an AVIF with each of its other pictures and thumbnails made the primary one.

    Readers show the primary picture only. At most ``MAX_ITEMS``.
    """
    stated = _within_meta(data, b"pitm")
    listed = _within_meta(data, b"iinf")
    if stated is None or listed is None:
        return
    at, wide = stated[0] + 4, _wide(data, stated[0])
    primary = int.from_bytes(data[at : at + wide], "big")
    # Alpha planes and tiles of a grid are no pictures.
    parts: set[int] = set()
    for _, kind, one, several in _references(data):
        if kind in (b"auxl", b"cdsc"):
            parts.add(one)
        elif kind == b"dimg":
            parts.update(several)
    others = [
        item
        for item, kind in _items(data, *listed)
        if kind in (b"av01", b"grid", b"iovl") and item not in parts and item != primary
    ]
    for item in others[:MAX_ITEMS]:
        yield data[:at] + item.to_bytes(wide, "big") + data[at + wide :]


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number, type) of the items in ``iinf``."""
    head = 4 + _wide(data, start)
    for kind, at, _ in top_level(data[start + head : end]):
        if kind == b"infe":
            at += start + head
            wide = 4 if data[at : at + 1] == b"\3" else 2
            number = int.from_bytes(data[at + 4 : at + 4 + wide], "big")
            yield number, data[at + 6 + wide : at + 10 + wide]


def _references(data: bytes) -> Iterator[tuple[int, bytes, int, list[int]]]:
    """Yield (position of the type, type, from item, to items) of each reference."""
    found = _within_meta(data, b"iref")
    if found is None:
        return
    start, end = found
    wide = _wide(data, start)
    for kind, at, stop in top_level(data[start + 4 : end]):
        numbers = data[start + 4 + at : start + 4 + stop]
        several = numbers[wide + 2 :]
        yield (
            start + at,
            kind,
            int.from_bytes(numbers[:wide], "big"),
            [int.from_bytes(several[n : n + wide], "big") for n in range(0, len(several), wide)],
        )


def _wide(data: bytes, start: int) -> int:
    """Return the bytes of an item number in a box, by its version (its first byte)."""
    return 2 if data[start : start + 1] == b"\0" else 4


def _within_meta(data: bytes, wanted: bytes) -> tuple[int, int] | None:
    """Return start and end of the content of a box inside ``meta``."""
    for kind, start, end in top_level(data):
        if kind == b"meta":
            for inner, at, stop in top_level(data[start + 4 : end]):
                if inner == wanted:
                    return start + 4 + at, start + 4 + stop
    return None


def motion_clip(data: bytes) -> bytes | None:
    """Return the clip of a HEIC motion photo, from its own box or appended."""
    end = 0
    for kind, start, end in top_level(data):
        if kind == b"mpvd":
            return data[start:end]
    if end < len(data) and (at := find_file(data, end)) is not None:
        return data[at:]
    return None
