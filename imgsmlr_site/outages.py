"""What the service lacks for a time: its database, room on its disk, or decoders."""

from __future__ import annotations

import errno
import logging

from django.db import DatabaseError, InterfaceError, OperationalError

from gallery.shared.errors import StorageAway
from gallery.shared.fork_server import CannotStart

AWAY = (OperationalError, InterfaceError, DatabaseError)


def outage(error: BaseException | None) -> tuple[str, str] | None:
    """Return code and sentence if ``error`` says that database or disk are unavailable."""
    match error:
        # psycopg2 raises the plain class, too, when the server closes a connection.
        case DatabaseError() | InterfaceError() if type(error) in AWAY:
            state = getattr(error.__cause__, "pgcode", None) or ""
            # Classes of SQLSTATE: 53 insufficient resources, 57P shutdown, 08 connection.
            if state.startswith("53"):
                return "database", "The database lacks disk space or memory: see the service's log."
            if not state or state.startswith(("57P", "08")):
                return "database", "The database does not answer now: try again in some seconds."
        case StorageAway():
            return "storage", str(error)
        case CannotStart():
            return "decoders", str(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "storage", "The disk of the service is full: nothing can be stored now."
        case OSError(errno=errno.EROFS | errno.EACCES | errno.EPERM):
            return "storage", "The service may not write its files: see its log."
    return None


class WithoutTraceback(logging.Filter):
    """Logs an outage as one line: a busy service would write thousands of tracebacks a second."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and outage(record.exc_info[1]):
            # Further lines may quote a row.
            record.msg = f"{record.getMessage()}: {str(record.exc_info[1]).partition(chr(10))[0]}"
            record.args, record.exc_info = (), None
        return True
