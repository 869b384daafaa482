"""Who makes a request, as the apps see it. ``imgsmlr_site`` sets it on the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, cast


class Access(Protocol):
    """The permissions of one request.

    ``actor`` is the name in rows and logs, such as ``key:loader``.
    ``via`` is key, session, open or none. Throttles count by ``client``."""

    actor: str
    via: str
    client: str

    @property
    def probes_as(self) -> str:
        """Who the budget of near contents counts: ``client``, or "" for callers who see matches."""
        ...

    def allows(self, scope: str) -> bool: ...

    def require(self, scope: str) -> None:
        """Raises a ``UserError`` without the scope."""
        ...

    def may_change(self, added_by: str) -> bool:
        """Return whether the caller may change and delete what ``added_by`` has added."""
        ...

    def charge(self, cost: float) -> None:
        """Take points from the client's budget. Raises a ``UserError`` if it is spent."""
        ...

    def limit(self, what: str, most: int, period: float) -> None:
        """Count something that a client may do ``most`` times in ``period`` seconds. Raises a
        ``UserError`` beyond that."""
        ...

    def owe(self, cost: float) -> None:
        """Take points for what was done already; the budget may fall below zero."""
        ...


@dataclass(frozen=True)
class Sender:
    """Who sent content that is screened: the name for rows, and ``Access.probes_as``."""

    name: str
    client: str = ""


NOBODY: Final = Sender("")


def sender_of(request: Any) -> Sender:
    access = access_of(request)
    return Sender(access.actor, access.probes_as)


def access_of(request: Any) -> Access:
    return cast(Access, request.access)
