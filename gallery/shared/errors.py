"""Errors whose message a caller may see.

Each module raises its own subclass beside the code that fails; only the HTTP edge
(``imgsmlr_site.errors`` and ``gallery.api.legacy``) knows which status they become.
"""

from __future__ import annotations


class UserError(Exception):
    """A refusal that says, in one sentence, what the caller can do about it.

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
    """The thing named does not exist, or is not visible to this caller."""

    code = "not_found"


class Conflict(UserError):
    """The request contradicts what is stored; ``existing_id`` names the existing row."""

    code = "conflict"

    def __init__(self, message: str, *, existing_id: int | None = None, **kwargs: str) -> None:
        super().__init__(message, **kwargs)
        self.existing_id = existing_id


class Unavailable(UserError):
    """Something this request needs is not set up here; the message says what to set."""

    code = "unavailable"


class NotYours(UserError):
    """The caller may change and delete only what it has added itself."""

    code = "forbidden"
