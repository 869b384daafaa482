"""Numbers in the text of requests, and shares in words for people."""

from __future__ import annotations


def whole_number(text: str, digits: int = 18) -> int | None:
    """Return the number if the text is at most ``digits`` ASCII digits, otherwise None.

    Ids of rows have at most 18 digits.
    """
    text = text.strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= digits
    return int(text) if is_number else None


def percent(value: float | None) -> str:
    """Format as "84 %", near 0 and 100 with a decimal, because 99.9 % is not 100 %."""
    if value is None:
        return "–"
    share = 100 * value
    if 0 < share < 1 or 99 < share < 100:
        # Do not round up to 100 % or down to 0 %.
        return f"{min(max(share, 0.1), 99.9):.1f} %"
    return f"{share:.0f} %"
