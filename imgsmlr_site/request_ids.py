"""The id of the current request, or of the request that queued the current task.

The logging configuration imports this module before Django's apps are ready.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

NONE: Final = "-"

request_id: ContextVar[str] = ContextVar("request id", default=NONE)


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to each record; "-" outside of requests and their tasks."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
