"""JSON that refuses whole numbers beyond 64 bits, of which orjson silently makes floats.

Two long ids that differ in the last digit would become one. No Django here.
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
    """A whole number beyond 64 bits; the text says what to send instead."""

    def __init__(self, digits: str) -> None:
        shown = digits if len(digits) <= 40 else f"{digits[:37]}…"
        super().__init__(f"the whole number {shown} has more than 64 bits: send it as text")


def refuse(digits: str) -> int:
    """Raises TooLong for digits that make no 64-bit number."""
    # Twenty digits and a sign; reading longer ones takes time for nothing.
    if len(digits) > 21 or (value := int(digits)) not in BITS_64:
        raise TooLong(digits)
    return value


def loads(data: bytes, whole_number: Callable[[str], Any] = refuse) -> Any:
    """The value; ``whole_number`` converts the digits of long numbers.

    Raises ``orjson.JSONDecodeError``, and TooLong by default; both are ValueErrors.
    """
    value = orjson.loads(data)
    if not _LONG.search(data):
        return value
    try:
        return json.loads(data, parse_int=whole_number)
    except RecursionError:
        raise ValueError("the objects and lists are nested too deep") from None
