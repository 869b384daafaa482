"""Receipts of notices: signed texts that prove when a notice came in, and open its page.

The signature is made with the service's secret key. So whoever has a receipt can have it verified
here, and nobody can guess or forge one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.core.signing import BadSignature, Signer
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from gallery.shared.errors import NotFound
from moderation.reports.models import Notice


class Receipt(NamedTuple):
    """What a genuine receipt says."""

    notice: int
    received_at: datetime
    reason: str
    picture: str


def issue(notice: Notice) -> str:
    said = [notice.pk, notice.created_at.isoformat(), notice.reason, notice.sha256]
    return _signer().sign_object(said)


def read(text: str) -> Receipt:
    """Raise ``NotFound`` for a text that was not issued here."""
    try:
        pk, received, reason, picture = _signer().unsign_object(text)
    except (BadSignature, ValueError):
        raise NotFound(_("This is no receipt of ours, or it is not complete.")) from None
    at: Any = parse_datetime(received)
    return Receipt(pk, at, reason, picture)


def path(notice: Notice) -> str:
    """Return the address of the page that shows a receipt and what became of the notice."""
    return reverse("notice-status", args=[issue(notice)])


def _signer() -> Signer:
    return Signer(salt="moderation.notices")
