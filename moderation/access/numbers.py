"""Numbers in the text of requests."""

from __future__ import annotations


def whole_number(text: str, digits: int = 18) -> int | None:
    """Return the number if the text is at most ``digits`` ASCII digits, otherwise None.

    Ids of rows have at most 18 digits.
    """
    text = text.strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= digits
    return int(text) if is_number else None
