"""Throttles by cost: one token bucket per client in PostgreSQL, exact across processes.

The bucket is one time stamp (the generic cell rate algorithm): ``full_at`` is when it will be full
again, and each point moves it by 1/rate seconds. The table is UNLOGGED: a charge does not wait for
the disk, and a crash of the server fills every bucket.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Final

from django.db import connection
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from gallery.shared.errors import Busy

if TYPE_CHECKING:  # rest_framework.views imports this module, which its settings name
    from rest_framework.views import APIView

PURGE_CHANCE = 1 / 1000

MOST_OWED: Final = 5
"""Buckets that a client can owe. A row that says more was written before the clock was set back."""

FULL_AT = """
CASE WHEN bucket.full_at BETWEEN clock_timestamp()
     AND clock_timestamp() + (%(most)s + 1) * %(period)s * interval '1 second'
THEN bucket.full_at ELSE clock_timestamp() END"""
OWE = f"""
INSERT INTO imgsmlr_site_throttle AS bucket (client, full_at)
VALUES (%(client)s, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (client) DO UPDATE
SET full_at = LEAST({FULL_AT} + %(seconds)s * interval '1 second',
                    clock_timestamp() + %(most)s * %(period)s * interval '1 second')"""  # noqa: S608
CHARGE = f"""
{OWE}
WHERE {FULL_AT} + %(seconds)s * interval '1 second'
      <= clock_timestamp() + %(period)s * interval '1 second'
RETURNING true
"""
WAIT = """
SELECT extract(epoch FROM full_at - clock_timestamp()) + %(seconds)s - %(period)s
FROM imgsmlr_site_throttle WHERE client = %(client)s
"""
PURGE = """
DELETE FROM imgsmlr_site_throttle WHERE client IN (
    SELECT client FROM imgsmlr_site_throttle WHERE full_at < clock_timestamp()
    FOR UPDATE SKIP LOCKED)
"""


class Throttled(Busy):
    """The client has spent its budget; ``wait`` is the seconds until this request would pass."""

    code = "throttled"

    def __init__(self, wait: int) -> None:
        super().__init__(f"Too many requests for now: try again in {wait} s.", wait=wait)


def spend(client: str, cost: float, capacity: float, period: float) -> int:
    """Take ``cost`` of ``capacity`` points that come back in ``period`` seconds.

    Return 0, or the seconds to wait (≥ 1) if nothing was taken. A cost above the capacity takes a
    full bucket. It is one atomic statement; call it outside transactions, or the client's row stays
    locked until they end.
    """
    if not cost or not capacity:
        return 0
    seconds = min(cost / capacity, 1.0) * period
    values = _values(client, seconds, period)
    with connection.cursor() as cursor:
        if random.random() < PURGE_CHANCE:  # noqa: S311 (housekeeping, not a secret)
            purge(cursor)
        cursor.execute(CHARGE, values)
        if cursor.fetchone():
            return 0
        cursor.execute(WAIT, values)
        row = cursor.fetchone()
    return max(1, math.ceil(row[0])) if row else 1


def owe(client: str, cost: float, capacity: float, period: float) -> None:
    """Take ``cost`` points, at most a full bucket, even if there are fewer. See ``MOST_OWED``."""
    if cost and capacity:
        seconds = min(cost / capacity, 1.0) * period
        with connection.cursor() as cursor:
            cursor.execute(OWE, _values(client, seconds, period))


def _values(client: str, seconds: float, period: float) -> dict[str, str | float]:
    return {"client": client, "seconds": seconds, "period": period, "most": MOST_OWED}


def purge(cursor: Any) -> None:
    """Delete full buckets: a missing row means a full bucket."""
    cursor.execute(PURGE)


class CostThrottle(BaseThrottle):
    """Charges ``view.throttle_cost`` points: a number, or a method that takes the request."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True, or raise ``Throttled``."""
        cost = getattr(view, "throttle_cost", 1)
        points = cost(request) if callable(cost) else cost
        request._request.access.charge(points)  # type: ignore[attr-defined]
        return True
