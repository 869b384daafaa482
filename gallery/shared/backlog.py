"""The bound of the background work: adding is refused while too many tasks wait."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.conf import settings
from django.db import connection

from gallery.shared.errors import Busy

RETRY_SECONDS: Final = 30
WAITING = """
SELECT count(*) FROM (SELECT FROM django_q_ormq WHERE key = ANY(%s) LIMIT %s) AS waiting
"""


class BacklogFull(Busy):
    """The workers of one kind of item are ``MAX_QUEUE`` tasks behind."""

    code = "backlog"


def refuse_if_full(clusters: Collection[str]) -> None:
    """Raise BacklogFull if ``MAX_QUEUE`` tasks wait for the workers of these clusters."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [list(clusters), settings.MAX_QUEUE])
        (waiting,) = cursor.fetchone()
    if waiting >= settings.MAX_QUEUE:
        raise BacklogFull(
            f"{waiting} tasks wait for the workers: try again in {RETRY_SECONDS} s.",
            wait=RETRY_SECONDS,
        )
