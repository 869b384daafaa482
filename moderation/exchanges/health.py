"""What is wrong with exchanges, or waits for a person: for the dashboard and the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q
from django.utils.translation import gettext as _

from moderation.exchanges.models import Exchange, Pull


@dataclass(frozen=True)
class Notice:
    """``import_id``: the import to look at. ``failing``: something does not work."""

    exchange: Exchange
    sentence: str
    failing: bool
    import_id: int | None = None


def notices() -> list[Notice]:
    found = [
        Notice(exchange, _sentence(exchange), failing=True)
        for exchange in Exchange.objects.filter(enabled=True)
        if exchange.is_failing
    ]
    for pull in Pull.objects.filter(state=Pull.State.WAITING).select_related("exchange"):
        sentence = _("A pull waits to be confirmed.")
        found.append(Notice(pull.exchange, sentence, failing=False, import_id=pull.run_id))
    return found


def _sentence(exchange: Exchange) -> str:
    if exchange.is_remote:
        return _("It does not answer: %(why)s") % {"why": exchange.failure}
    if exchange.failure:
        return _("It cannot be pulled from: %(why)s") % {"why": exchange.failure}
    return _("It was not pulled from in time.")


def gauges() -> list[tuple[str, int, float | None, int]]:
    """Return name, failures in a row, Unix time of the last success, and feedback that waits, of
    each enabled exchange."""
    waiting = Count("feedbacks", filter=~Q(feedbacks__wanted=F("feedbacks__sent")))
    rows = Exchange.objects.filter(enabled=True).annotate(waiting=waiting)
    return [
        (
            row.name,
            row.failures,
            row.succeeded_at.timestamp() if row.succeeded_at else None,
            row.waiting,
        )
        for row in rows
    ]
