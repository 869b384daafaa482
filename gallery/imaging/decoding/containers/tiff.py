"""Reads the meaning of a TIFF's values, and detects cameras' raw files."""

from __future__ import annotations

import struct
from typing import Any, Final

from PIL import Image, TiffImagePlugin

_BITS, _PHOTOMETRIC, _SUB_IFDS, _SAMPLE_FORMAT, _DNG_VERSION = 258, 262, 330, 339, 50706
_OF_SENSORS: Final = frozenset({32803, 34892})
"""Photometric interpretations of raw files: a colour filter array, linear raw."""

_MAX_SUB_IFDS: Final = 16

# Modes that Pillow supports for one byte order only.
for _key, _mode in {
    (b"MM", 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
    (b"II", 0, (1,), 1, (32,), ()): ("I", "I;32"),
    (b"MM", 0, (1,), 1, (32,), ()): ("I", "I;32B"),
    (b"MM", 1, (1,), 1, (32,), ()): ("I", "I;32B"),
}.items():
    TiffImagePlugin.OPEN_INFO.setdefault(_key, _mode)


def facts(image: Image.Image) -> dict[str, Any]:
    """Return values of the current page to add to Pillow's ``info``, for ``layers``."""
    tags = getattr(image, "tag_v2", {})
    found: dict[str, Any] = {}
    if tags.get(_PHOTOMETRIC) == 0:
        found["white_is_zero"] = True
    bits = tags.get(_BITS, (8,))
    found["bits"] = bits[0]
    if tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        found["unsigned"] = True
    # Pillow swaps bytes that libtiff has swapped already.
    compressed = image.info.get("compression", "raw") != "raw"
    if compressed and bits[0] == 32 and getattr(tags, "prefix", b"II") == b"MM":
        found["swapped"] = True
    return found


def is_raw(data: bytes) -> bool:
    """Return whether it holds sensor data. Pillow would read only a small preview instead."""
    if data[8:10] == b"CR":
        return True
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8 or struct.unpack_from(f"{order}H", data, 2)[0] != 42:
        return False
    first = _directory(data, struct.unpack_from(f"{order}I", data, 4)[0], order)
    if _DNG_VERSION in first or _OF_SENSORS & set(first.get(_PHOTOMETRIC, ())):
        return True
    return any(
        _OF_SENSORS & set(_directory(data, offset, order).get(_PHOTOMETRIC, ()))
        for offset in first.get(_SUB_IFDS, ())[:_MAX_SUB_IFDS]
    )


def _directory(data: bytes, at: int, order: str) -> dict[int, tuple[int, ...]]:
    """Tag → its integers, without entries that are cut off."""
    tags: dict[int, tuple[int, ...]] = {}
    if at + 2 > len(data):
        return tags
    for entry in range(struct.unpack_from(f"{order}H", data, at)[0]):
        where = at + 2 + 12 * entry
        if where + 12 > len(data):
            break
        tag, kind, count, value = struct.unpack_from(f"{order}HHII", data, where)
        code = {3: "H", 4: "I", 13: "I"}.get(kind)
        if code is None or count > _MAX_SUB_IFDS:
            tags[tag] = ()
            continue
        size = struct.calcsize(code) * count
        source = value if size > 4 else where + 8
        if source + size <= len(data):
            tags[tag] = struct.unpack_from(f"{order}{count}{code}", data, source)
    return tags
