"""Times as a person reads them: relative to now, with the exact one as title."""

from __future__ import annotations

from datetime import date, datetime

from django.utils import timezone
from django.utils.html import format_html

from gallery.shared.readable import DAY, HOUR, MINUTE

RELATIVE_DAYS = 60
"""A time that is farther away is shown as its day."""


def when(at: datetime | None) -> str:
    """Format a time as it is relative to now, with the exact one as its title (HTML)."""
    if at is None:
        return "–"
    local = timezone.localtime(at)
    return format_html(
        '<time class="when" datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        exact(at),
        relative((timezone.now() - at).total_seconds()) or f"{local:%Y-%m-%d}",
    )


def exact(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S %Z}"


def day(at: date | None) -> str:
    """Format a time or a day as "2026-07-31"."""
    if at is None:
        return "–"
    return f"{timezone.localtime(at) if isinstance(at, datetime) else at:%Y-%m-%d}"


def relative(seconds: float) -> str:
    """Format seconds that have passed as "5 min ago", negative ones as "in 5 min". Return "" if
    that is more than ``RELATIVE_DAYS``."""
    passed = abs(seconds)
    if passed < MINUTE:
        return "just now" if seconds >= 0 else "in a moment"
    if passed > RELATIVE_DAYS * DAY:
        return ""
    if passed < HOUR:
        text = f"{passed // MINUTE:.0f} min"
    elif passed < 2 * DAY:
        text = f"{passed // HOUR:.0f} h"
    else:
        text = f"{passed // DAY:.0f} days"
    return f"{text} ago" if seconds >= 0 else f"in {text}"
