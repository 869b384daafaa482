"""Times and durations as a person reads them: one style for all pages."""

from __future__ import annotations

from datetime import date, datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTE, HOUR, DAY = 60, 3600, 86_400
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
        return _("just now") if seconds >= 0 else _("in a moment")
    if passed > RELATIVE_DAYS * DAY:
        return ""
    is_past = seconds >= 0
    if passed < HOUR:
        text, n = _("%(n)s min ago") if is_past else _("in %(n)s min"), passed // MINUTE
    elif passed < 2 * DAY:
        text, n = _("%(n)s h ago") if is_past else _("in %(n)s h"), passed // HOUR
    else:
        n = passed // DAY
        past = ngettext("%(n)s day ago", "%(n)s days ago", int(n))
        text = past if is_past else ngettext("in %(n)s day", "in %(n)s days", int(n))
    return text % {"n": f"{n:.0f}"}


def duration(seconds: float | None) -> str:
    """Format as "45 s", "12 min", "3.5 h" or "2.1 days"."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return _("%(n)s s") % {"n": f"{seconds:.0f}"}
    if seconds < 90 * MINUTE:
        return _("%(n)s min") % {"n": f"{seconds / MINUTE:.0f}"}
    if seconds < 2 * DAY:
        return _("%(n)s h") % {"n": f"{seconds / HOUR:.1f}"}
    return _("%(n)s days") % {"n": f"{seconds / DAY:.1f}"}
