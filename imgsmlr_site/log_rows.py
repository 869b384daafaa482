"""Keeps the content of database rows out of the log.

The logging configuration imports this module before Django's apps are ready.
"""

from __future__ import annotations

import logging
import re

ROWS = re.compile(r"^(DETAIL|CONTEXT|QUERY|LINE \d+|PARAMETERS):.*(\n\s+\^)?", re.MULTILINE)
"""Lines of PostgreSQL's errors that may quote a row or a statement, with a key or a secret."""


class NoRowsFilter(logging.Filter):
    """Replaces those lines in the traceback of a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_text, record.exc_info = ROWS.sub(r"\1: (left out)", text), None
        return True
