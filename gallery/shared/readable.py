"""Numbers and sizes as a person reads them: one style for all pages."""

from __future__ import annotations

SMALLEST = 0.0001
"""A distance below it is shown as smaller than it, never with an exponent."""
UNITS = ("kB", "MB", "GB", "TB")


def distance(value: float | None) -> str:
    """Format as "31", "0.25" or "< 0.0001": at most four decimals, no exponent."""
    if value is None:
        return "–"
    if 0 < abs(value) < SMALLEST:
        return f"< {SMALLEST:.4f}"
    return f"{value:.4f}".rstrip("0").rstrip(".")


def size(count: int | None) -> str:
    """Format bytes as "999 B", "12 kB" or "1.5 MB". A kB has 1,000 bytes."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count} B"
    value = count / 1000
    for unit in UNITS:
        text = f"{value:.0f} {unit}" if unit == "kB" else f"{value:.1f} {unit}"
        if value < 999.5 or unit == UNITS[-1]:
            break
        value /= 1000
    return text
