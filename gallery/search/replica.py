"""Runs searches on a read replica, unless it lags too far behind.

Only what ``find`` calls, and reads by ``connection``, comes from there. Everything else, such as
access, gates, decisions and scans, reads the database itself. A replica may still show what was
hidden a moment ago, so whoever calls ``find`` looks again at what it found.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

ALIAS: Final = "replica"
LOOK_EVERY: Final = 1.0
"""Seconds for which a lag is believed."""
AWAY_FOR: Final = 10.0
"""Seconds for which a replica that failed is not asked."""
HERE: Final = """
SELECT system_identifier, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'),
       extract(epoch FROM clock_timestamp())::float8
FROM pg_control_system()
"""
THERE: Final = """
SELECT system_identifier, pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'),
       extract(epoch FROM pg_last_xact_replay_timestamp())::float8
FROM pg_control_system() WHERE pg_is_in_recovery()
"""
"""No row if it is no standby. The time is that of the primary's clock."""

Found = TypeVar("Found")
logger = logging.getLogger(__name__)
_database: ContextVar[str] = ContextVar("_database", default=DEFAULT_DB_ALIAS)


def connection() -> BaseDatabaseWrapper:
    """Return the connection that a search reads by: inside of ``find`` that to the replica."""
    return connections[_database.get()]


def find(search: Callable[[], Found]) -> tuple[Found, bool]:
    """Return what ``search`` returns, and whether it comes from the replica."""
    if _watch.is_near():
        token = _database.set(ALIAS)
        try:
            return search(), True
        except (DatabaseError, InterfaceError) as error:
            # It ended, or cancelled the search to catch up with the primary.
            _watch.leave_alone(error)
        finally:
            _database.reset(token)
    return search(), False


def lag() -> float | None:
    """Return the replica's lag in seconds; None if there is none that could be asked."""
    _watch.is_near()
    return _watch.lag


class _Watch:
    """Looks how far the replica is behind, once a second in each process that searches."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._next_look = 0.0
        self.lag: float | None = None

    def is_near(self) -> bool:
        if ALIAS not in connections:
            return False
        # Threads that come while one looks believe what was seen last.
        if time.monotonic() >= self._next_look and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self.lag is not None and self.lag <= settings.DATABASE_REPLICA_LAG

    def leave_alone(self, why: object) -> None:
        logger.warning("The replica is not asked: %s", str(why).strip())
        connections[ALIAS].close()
        self.lag = None
        self._next_look = time.monotonic() + AWAY_FOR

    def _look(self) -> None:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(HERE)
            system, written, now = cursor.fetchone()
        try:
            with connections[ALIAS].cursor() as cursor:
                cursor.execute(THERE)
                row = cursor.fetchone()
        except (DatabaseError, InterfaceError) as error:
            self.leave_alone(error)
            return
        if row is None or row[0] != system:
            self.leave_alone("DATABASE_REPLICA_URL leads to no standby of this database")
            return
        _, replayed, committed = row
        if replayed >= written:
            self.lag = 0.0
        elif committed is None:
            self.lag = None
        else:
            self.lag = max(0.0, now - committed)
        self._next_look = time.monotonic() + LOOK_EVERY


_watch = _Watch()
