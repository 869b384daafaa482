"""What all services share: the session that carries the credentials, pages, and the protocol."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import urlencode, urlsplit

import orjson
from django.conf import settings

from gallery.net.posting import Answer, call
from gallery.net.transport import FetchFailed, FetchPolicy
from gallery.shared.errors import UserError
from moderation.lists.formats.reading import Format

PAGE_BYTES: Final = 64_000_000

Checkpoint = dict[str, Any]
Cursor = dict[str, Any]


class ServiceFailed(UserError):
    """The service did not answer, or not as agreed. ``refused``: it rejects this request, so that
    it must not be sent again as it is."""

    code = "exchange_failed"

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True)
class Page:
    """``body``: as its format's reader takes it. ``cursor``: of the next page, None after the last.
    ``checkpoint``: of the last page, where the next pull begins."""

    body: bytes
    records: int
    cursor: Cursor | None
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class Opinion:
    """What an exchange is to be told. ``word``: one of the client's ``WORDS``, or "" to withdraw.
    ``hashes``: the item's, as (kind, value). ``reason``: the exchange's setting for negatives."""

    source_id: str
    media: str
    hashes: tuple[tuple[str, str], ...]
    word: str
    reason: str


class Client(Protocol):
    """An exchange whose hashes are stored here.

    ``SOURCE``: of its items. ``WORDS``: decision → the exchange's word for it, "" for nothing;
    decisions are ``confirmed``, ``dismissed``, ``wrong`` (the item does not belong on the list) and
    ``undone``. ``AT_ONCE``: opinions that one request may hold.
    """

    URL: ClassVar[str]
    FORMAT: ClassVar[Format]
    SOURCE: ClassVar[str]
    CREDENTIALS: ClassVar[Mapping[str, str]]
    WORDS: ClassVar[Mapping[str, str]]
    AT_ONCE: ClassVar[int]

    def __init__(self, session: Session, group: str) -> None: ...

    def page(self, since: Checkpoint, cursor: Cursor | None) -> Page:
        """Return one page. The same arguments may be used again. Raises ``ServiceFailed``."""
        ...

    def tell(self, opinions: Iterable[Opinion]) -> None:
        """Send at most ``AT_ONCE`` opinions. Raises ``ServiceFailed``."""
        ...


class Session:
    """Sends requests to the one host of a service.

    ``url``: the service's address, without a slash at its end. Nothing else is ever spoken to: no
    redirect is followed, and a link in an answer counts only as a path.
    """

    def __init__(self, url: str, credentials: Mapping[str, str], timeout: float) -> None:
        self.url = url.rstrip("/")
        self.credentials = credentials
        self._policy = FetchPolicy(
            max_bytes=PAGE_BYTES,
            timeout=timeout,
            allow_private=settings.EXCHANGE_ALLOW_PRIVATE,
            allowed_by="EXCHANGE_ALLOW_PRIVATE",
        )

    def basic(self) -> dict[str, str]:
        """Return the header of HTTP Basic for ``user`` and ``password``."""
        pair = f"{self.credentials.get('user', '')}:{self.credentials.get('password', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> bytes:
        """Return the body of an answer with 2xx. Raises ``ServiceFailed``."""
        host = urlsplit(self.url).hostname or "The service"
        address = f"{self.url}{path}"
        if query:
            address += ("&" if "?" in path else "?") + urlencode(query)
        try:
            answer = call(method, address, self._policy, body=body, headers=headers)
        except FetchFailed as error:
            raise ServiceFailed(error.message) from error
        if not 200 <= answer.status < 300:
            raise ServiceFailed(_refusal(host, answer), refused=_is_refusal(answer.status))
        return answer.body

    def json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """As ``send``, of a JSON object."""
        try:
            found = orjson.loads(self.send(method, path, **request))
        except orjson.JSONDecodeError as error:
            raise ServiceFailed("The answer is not JSON.") from error
        if not isinstance(found, dict):
            raise ServiceFailed("The answer is not a JSON object.")
        return found


def records_of(answer: Mapping[str, Any], name: str) -> int:
    """Return how many records an answer has. Raises ``ServiceFailed`` if it has no list of them."""
    found = answer.get(name)
    if not isinstance(found, list):
        raise ServiceFailed(f"The answer has no list “{name}”.")
    return len(found)


def iso_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refusal(host: str, answer: Answer) -> str:
    if answer.status in (401, 403):
        return f"{host} refused the credentials ({answer.status})."
    return f"{host} answered {answer.status}."


def _is_refusal(status: int) -> bool:
    """Whether this request is at fault, not the service or the credentials."""
    return 400 <= status < 500 and status not in (401, 403, 407, 408, 425, 429)
