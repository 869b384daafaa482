"""Reads the previews that programs store in XMP: JPEGs in Base64."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final

MAX_PREVIEWS: Final = 256

_JPEG: Final = re.compile(rb"/9j/(?:[A-Za-z0-9+/=\s]|&#x?[0-9A-Fa-f]{1,4};)+")
"""Programs break lines, some with references such as ``&#xA;``."""
_BREAK: Final = re.compile(rb"&#x?[0-9A-Fa-f]{1,4};")


def previews(block: object) -> Iterator[bytes]:
    """Yield at most ``MAX_PREVIEWS``; none if there is no block or it is damaged."""
    if isinstance(block, str):
        block = block.encode()
    if not isinstance(block, bytes):
        return
    for number, found in enumerate(_JPEG.finditer(block)):
        if number == MAX_PREVIEWS:
            return
        try:
            yield binascii.a2b_base64(_BREAK.sub(b"", found[0]))
        except binascii.Error:
            continue
