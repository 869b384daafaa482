"""JSON that refuses integers beyond 64 bits, which orjson silently turns into floats.

Otherwise two long ids that differ in the last digit would become equal. No Django here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

BITS_64: Final = range(-(2**63), 2**64)
_LONG: Final = re.compile(rb"\d{19}")


class TooLong(ValueError):
    """An integer beyond 64 bits. The message says what to send instead."""

    def __init__(self, digits: str) -> None:
        shown = digits if len(digits) <= 40 else f"{digits[:37]}…"
        super().__init__(f"the whole number {shown} has more than 64 bits: send it as text")


def refuse(digits: str) -> int:
    """Return a 64-bit integer from its digits. Raises TooLong for a larger one."""
    # At most twenty digits and a sign: converting more would only take time.
    if len(digits) > 21 or (value := int(digits)) not in BITS_64:
        raise TooLong(digits)
    return value


def loads(data: bytes, whole_number: Callable[[str], Any] = refuse) -> Any:
    """Return the parsed value. ``whole_number`` converts the digits if a number is long.

    Raises ``orjson.JSONDecodeError``, and TooLong by default. Both are ValueErrors.
    """
    value = orjson.loads(data)
    if not _LONG.search(data):
        return value
    try:
        return json.loads(data, parse_int=whole_number)
    except RecursionError:
        raise ValueError("the objects and lists are nested too deep") from None
