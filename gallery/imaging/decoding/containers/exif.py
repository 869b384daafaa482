"""Reads the preview that cameras store in EXIF."""

from __future__ import annotations

import struct
from typing import Final

_PREFIX: Final = b"Exif\0\0"
_OFFSET, _LENGTH = 0x0201, 0x0202


def thumbnail(block: object) -> bytes | None:
    """Return the JPEG of the second directory; None if there is none or the block is damaged."""
    if not isinstance(block, bytes):
        return None
    tiff = block.removeprefix(_PREFIX)
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        (second,) = struct.unpack_from(f"{order}I", tiff, first + 2 + 12 * entries)
        if not second:
            return None
        (entries,) = struct.unpack_from(f"{order}H", tiff, second)
        tags = dict(
            struct.unpack_from(f"{order}H6xI", tiff, second + 2 + 12 * entry)
            for entry in range(entries)
        )
    except struct.error:
        return None
    start, length = tags.get(_OFFSET, 0), tags.get(_LENGTH, 0)
    return tiff[start : start + length] if start and length else None
