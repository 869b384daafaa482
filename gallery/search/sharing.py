"""Searches with an upload that are shared by a link, until they end.

Nothing else keeps the file of a search. Here a small copy of it is kept, for ``SHARE_HOURS``,
because its sender asked for that; whoever may search and has the link gets it. It is screened like
an upload, when it is shared and each time it is opened.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from gallery.imaging import decoding
from gallery.items import conf
from gallery.items.models import SharedSearch
from gallery.items.publishing import QueryRefused, check_shared
from gallery.items.signals import notify_changed
from gallery.search.image_search import QUERY_SIDE
from gallery.shared.access import Sender
from gallery.shared.errors import Conflict, NotFound, Unavailable
from gallery.shared.locking import lock

MOST, MOST_OF_ONE = 500, 20
"""Searches that are shared at the same time: in all, and by one user, key or open network."""
CLEANED_MINUTES: Final = 5
"""How often a task deletes what has ended. So long before its time a link ends, so that nothing is
kept longer than said."""


class TooManyShared(Conflict):
    """No more searches are shared for now."""

    code = "too_many_shared"


class ShareEnded(NotFound):
    """The link has ended, or there never was one."""

    code = "share_ended"


def copy_picture(data: bytes) -> bytes:
    """Return the picture as a small JPEG without metadata. Raises what decoding raises."""
    return decoding.decode(data, conf.limits()).thumbnail(QUERY_SIDE)


def share(
    *, data: bytes, sender: Sender, copy: Callable[[bytes], bytes] = copy_picture
) -> tuple[str, datetime]:
    """Keep a copy of a file. Return the link's token, and when it ends.

    Raises ``Unavailable`` where nothing is shared, ``QueryRefused``, ``TooManyShared``, and what
    copying raises.
    """
    if not settings.SHARE_HOURS:
        raise Unavailable("Searches cannot be shared here: SHARE_HOURS is 0.")
    copied = copy(data)
    check_shared(data, sender)
    token = secrets.token_urlsafe(24)
    kept = timedelta(hours=settings.SHARE_HOURS) - timedelta(minutes=CLEANED_MINUTES)
    with transaction.atomic():
        lock("shared searches")
        forget_ended()
        _refuse_too_many(sender)
        row = SharedSearch.objects.create(
            digest=_digest(token),
            picture=copied,
            shared_by=sender.name,
            ends_at=timezone.now() + kept,
        )
        sha256 = hashlib.sha256(data).hexdigest()
        after = {"sha256": sha256, "until": row.ends_at.isoformat()}
        notify_changed(by=sender.name, verb="shared", row=row, after=after)
    return token, row.ends_at


def opened(token: str, sender: Sender) -> tuple[bytes, datetime]:
    """Return the copy that a shared search keeps, and when the link ends. Raises ``ShareEnded``."""
    rows = SharedSearch.objects.filter(digest=_digest(token))
    row = rows.filter(ends_at__gt=timezone.now()).first()
    if row is None:
        raise ShareEnded("This link has ended. Ask whoever sent it to share the search again.")
    copied = bytes(row.picture)
    try:
        check_shared(copied, sender)
    except QueryRefused:
        rows.delete()
        raise ShareEnded("This link has ended: what it shows may no longer be shared.") from None
    return copied, row.ends_at


def forget_ended() -> int:
    """Delete what has ended. Return how many."""
    return SharedSearch.objects.filter(ends_at__lte=timezone.now()).delete()[0]


def _refuse_too_many(sender: Sender) -> None:
    if SharedSearch.objects.count() >= MOST:
        raise TooManyShared("Too many searches are shared at the moment. Try again later.")
    if SharedSearch.objects.filter(shared_by=sender.name).count() >= MOST_OF_ONE:
        raise TooManyShared(
            f"You share {MOST_OF_ONE} searches already. Share another when the first has ended."
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
