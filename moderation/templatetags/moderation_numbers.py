"""Shares and durations as people read them."""

from __future__ import annotations

from django import template

from moderation.cases.intervals import Interval

register = template.Library()


@register.filter
def percent(value: float | None) -> str:
    """ "84 %"; near the ends with a decimal, as 99.9 % is not 100 %."""
    if value is None:
        return "–"
    share = 100 * value
    if 0 < share < 1 or 99 < share < 100:
        # Not rounded to what it is not.
        return f"{min(max(share, 0.1), 99.9):.1f} %"
    return f"{share:.0f} %"


@register.filter
def span(interval: Interval) -> str:
    """The ends of an interval: "62–80 %"."""
    return f"{percent(interval.low).removesuffix(' %')}–{percent(interval.high)}"


@register.filter
def duration(seconds: float | None) -> str:
    """ "45 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds is None:
        return "–"
    for unit, size, below in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 48 * 3600)):
        if seconds < below:
            value = seconds / size
            return f"{value:.0f} {unit}" if unit != "h" else f"{value:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
