"""Formats shares and durations for people."""

from __future__ import annotations

from django import template

from moderation.access.numbers import percent
from moderation.cases.intervals import Interval

register = template.Library()


register.filter(percent)


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
