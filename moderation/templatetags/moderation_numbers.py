"""Formats shares for people."""

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
