"""Keeps the chunks of a PNG that determine what is shown.

Viewers drop unknown and damaged ancillary chunks; Pillow would refuse the picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_ANIMATION: Final = frozenset({b"fcTL", b"fdAT"})
_SIZES: Final = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"acTL": 8}
_BEFORE_PALETTE: Final = frozenset({b"gAMA", b"cHRM", b"sRGB", b"cICP", b"iCCP"})
_KEY_BYTES: Final = {0: 2, 2: 6}
"""Colour type (grey, RGB) → bytes of the transparent colour."""


@dataclass(frozen=True, slots=True)
class Png:
    """``data``: a PNG that shows the same. ``facts``: values to add to Pillow's ``info``."""

    data: bytes
    facts: dict[str, Any] = field(default_factory=dict)


def read(data: bytes, max_profile: int) -> Png:
    """Remove chunks that viewers ignore. Data without a valid beginning is returned unchanged.

    ``max_profile``: the most bytes of an inflated colour profile.
    """
    chunks = _chunks(data)
    kind, header = next(chunks, (b"", b""))
    if kind != b"IHDR" or len(header) != 25:
        return Png(data)
    color_type = header[17]
    facts: dict[str, Any] = {"bits": header[16]}
    kept, seen = [_SIGNATURE, header], set[bytes]()
    for kind, chunk in chunks:
        content = memoryview(chunk)[8:-4]
        if kind in _CRITICAL or kind in _ANIMATION:
            kept.append(chunk)
        elif kind not in seen and _sound(kind, chunk, color_type, seen):
            if kind == b"iCCP":
                facts["icc_profile"] = _inflated(bytes(content), max_profile)
            elif kind == b"cICP":
                facts["cicp"] = (content[0], content[1])
            else:
                kept.append(chunk)
        seen.add(kind)
        if kind == b"IEND":
            facts["whole"] = True
            break
    return Png(b"".join(kept), facts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, chunk with its length and checksum); the last one may be cut off."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at : at + 12 + length]
        at += 12 + length


def _sound(kind: bytes, chunk: bytes, color_type: int, seen: set[bytes]) -> bool:
    """Return whether viewers use this ancillary chunk: known, complete and in a valid position."""
    if kind not in _SIZES and kind not in (b"tRNS", b"iCCP", b"eXIf"):
        return False
    length = int.from_bytes(chunk[:4], "big")
    if len(chunk) != length + 12 or length != _SIZES.get(kind, length):
        return False
    if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        return False
    if kind == b"eXIf":
        return True
    if b"IDAT" in seen or (kind in _BEFORE_PALETTE and b"PLTE" in seen):
        return False
    if kind == b"gAMA":
        return any(chunk[8:12])
    if kind == b"tRNS":
        if color_type == 3:
            return b"PLTE" in seen and 0 < length <= 256
        return length == _KEY_BYTES.get(color_type)
    return True


def _inflated(content: bytes, limit: int) -> bytes | None:
    """None if the profile is damaged or too large."""
    _, _, packed = content.partition(b"\0")
    if packed[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(packed[1:], limit)
    except zlib.error:
        return None
    return profile if inflater.eof else None
