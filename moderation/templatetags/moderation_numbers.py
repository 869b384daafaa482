"""Formats shares and durations for people."""

from __future__ import annotations

from django import template

from moderation.cases.intervals import Interval

register = template.Library()


@register.filter
def percent(value: float | None) -> str:
    """Format as "84 %", near 0 and 100 with a decimal, because 99.9 % is not 100 %."""
    if value is None:
        return "–"
    share = 100 * value
    if 0 < share < 1 or 99 < share < 100:
        # Do not round up to 100 % or down to 0 %.
        return f"{min(max(share, 0.1), 99.9):.1f} %"
    return f"{share:.0f} %"


@register.filter
def span(interval: Interval) -> str:
    """Format an interval as "62–80 %"."""
    return f"{percent(interval.low).removesuffix(' %')}–{percent(interval.high)}"


@register.filter
def duration(seconds: float | None) -> str:
    """Format as "45 s", "12 min", "3.5 h" or "2.1 days"."""
    if seconds is None:
        return "–"
    for unit, size, below in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 48 * 3600)):
        if seconds < below:
            value = seconds / size
            return f"{value:.0f} {unit}" if unit != "h" else f"{value:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
