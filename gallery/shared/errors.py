"""Errors whose message a caller may see.

Each module raises its own subclass. Only the HTTP layer (``imgsmlr_site.errors`` and
``gallery.api.legacy``) turns them into a status.
"""

from __future__ import annotations


class UserError(Exception):
    """An error whose message tells the caller, in one sentence, what to do.

    ``code`` is a stable machine-readable word; ``field`` names the wrong input, if there is one.
    """

    code = "invalid"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code


class NotFound(UserError):
    """The requested object does not exist, or is not visible to this caller."""

    code = "not_found"


class Conflict(UserError):
    """The request contradicts stored data. ``existing_id`` is the id of the existing row."""

    code = "conflict"

    def __init__(self, message: str, *, existing_id: int | None = None, **kwargs: str) -> None:
        super().__init__(message, **kwargs)
        self.existing_id = existing_id


class Unavailable(UserError):
    """Something that this request needs is not set up. The message says what to set."""

    code = "unavailable"


class Busy(UserError):
    """The service takes no more of these requests for now. ``wait``: seconds until a retry."""

    code = "busy"

    def __init__(self, message: str, *, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


class NotYours(UserError):
    """The item was added by another caller, and this caller may change only its own items."""

    code = "forbidden"


class StorageAway(OSError):
    """Not only a file is missing but the storage, as when a file system is not mounted.

    No ``UserError``: as for a full disk, what was asked for is to be tried again.
    """

    def __init__(
        self,
        message: str = "The storage of the service's files is not there: it may not be mounted.",
    ) -> None:
        super().__init__(message)
