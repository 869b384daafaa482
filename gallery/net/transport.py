"""The guarded connection to an address that an outsider may choose (prevents SSRF).

A host is resolved once, and all its addresses must be allowed. The connection uses one of these
addresses, so a second DNS answer cannot redirect it. The host name stays in the Host header, in
SNI and in the certificate check. Environment proxies, cookies and credentials are not used. One
wall-clock deadline covers look-up, connection and body.

Ports: 80 and 443 on public addresses, any port on addresses inside ``allow_private``.

The address ranges come from the AntiSSRF package (``addresses``). Its ``requests`` adapter is
not used: its timeouts are per read, it drops the port from the Host header and tries only the
first address of a host.
"""

from __future__ import annotations

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urljoin

import urllib3
from urllib3.connection import HTTPConnection

from gallery.net.addresses import Network, in_networks, is_public
from gallery.shared.errors import UserError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_INTERIM_RESPONSES: Final = 20
EVERYWHERE: Final[tuple[Network, ...]] = (ip_network("0.0.0.0/0"), ip_network("::/0"))

Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) → its addresses as text; raises OSError if there are none."""


class FetchFailed(UserError):
    """``upstream_status``: of the server's response; 500 if there was none or it was refused.

    Codes: fetch_refused (scheme, address, port or credentials not allowed), fetch_unreachable,
    fetch_timeout, fetch_status (not 2xx), fetch_redirects (too many), fetch_too_large.
    """

    code = "fetch_unreachable"

    def __init__(self, message: str, *, code: str, upstream_status: int = 500) -> None:
        super().__init__(message, code=code)
        self.upstream_status = upstream_status


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Limits of one request. ``max_bytes``: decoded bytes. ``timeout``: seconds in total.

    ``allow_private``: networks that may be reached although they are not public. ``allowed_by``:
    the name of the setting that lists them. ``max_redirects``: how many are followed.
    """

    max_bytes: int
    timeout: float
    allow_private: tuple[Network, ...] = ()
    max_redirects: int = 3
    user_agent: str = "imgsmlr-server"
    allowed_by: str = "FETCH_ALLOW_PRIVATE"

    def for_chosen_address(self) -> FetchPolicy:
        """Return the limits for requests to an address of the settings.

        The operator has chosen it, so it may be on a private network. Redirects are not followed:
        they could lead to another host there.
        """
        return replace(self, allow_private=EVERYWHERE, max_redirects=0)


def system_resolver(host: str, port: int) -> list[str]:
    """Return a host's addresses from the operating system, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL. ``host`` is ASCII (IDNA) in lower case, without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, text: str, base: str) -> Target:
        """Parse a URL. The same result is used for checking and for connecting.

        ``base`` is the URL that redirected to ``text``, empty for the first one.
        """
        try:
            url = urllib3.util.parse_url(urljoin(base, text.strip()))
        except ValueError as exc:
            raise _refused("This is not a valid URL; check its spelling.") from exc
        if url.scheme not in DEFAULT_PORTS or not url.host:
            raise _refused("Only http:// and https:// addresses are fetched; give one of these.")
        if url.auth is not None:
            raise _refused("A URL with a user name or password is not fetched; remove them.")
        port = url.port or DEFAULT_PORTS[url.scheme]
        default = port == DEFAULT_PORTS[url.scheme]
        return cls(
            scheme=url.scheme,
            host=url.host.strip("[]"),
            port=port,
            path=url.request_uri,
            authority=url.host if default else f"{url.host}:{port}",
        )


def checked_addresses(
    target: Target, policy: FetchPolicy, resolve: Resolver, deadline: Deadline
) -> list[str]:
    """Return all addresses of the host. Raises FetchFailed if any of them is not allowed."""
    texts = _look_up(target, resolve, deadline)
    # Messages do not name addresses: that would reveal internal DNS.
    for address in map(ip_address, texts):
        if in_networks(address, policy.allow_private):
            continue
        if not is_public(address):
            raise _refused(
                f"{target.host} is not on the public Internet; the operator can allow its network "
                f"with {policy.allowed_by}."
            )
        if target.port not in DEFAULT_PORTS.values():
            raise _refused(
                f"Port {target.port} is not allowed, only 80 and 443; the operator can allow "
                f"the host's network with {policy.allowed_by}."
            )
    return texts


def connect(target: Target, addresses: list[str], deadline: Deadline) -> socket.socket:
    """Return a TCP or TLS socket to the first address that answers. The caller closes it."""
    for left in range(len(addresses), 0, -1):
        patience = deadline.remaining() / left
        try:
            sock = socket.create_connection((addresses[-left], target.port), timeout=patience)
            break
        except OSError:
            if left == 1:
                raise
    if target.scheme == "http":
        return sock
    try:
        sock.settimeout(deadline.remaining())
        return _tls().wrap_socket(sock, server_hostname=target.host.rstrip("."))
    except BaseException:
        sock.close()
        raise


@dataclass(frozen=True, slots=True)
class Advice:
    """The ends of ``FetchFailed`` messages: what the user who gave the address can do."""

    timeout: str = ""
    certificate: str = ""
    unreachable: str = ""


@contextmanager
def guarded_connection(
    target: Target, policy: FetchPolicy, resolve: Resolver, deadline: Deadline, advice: Advice
) -> Iterator[HTTPConnection]:
    """Yield an HTTP connection to a checked address. Errors in the block become FetchFailed."""
    try:
        addresses = checked_addresses(target, policy, resolve, deadline)
        with closing(connect(target, addresses, deadline)) as sock:
            connection = HTTPConnection(target.host, target.port)
            connection.sock = DeadlineSocket(sock, deadline)
            connection.auto_open = 0  # never look the host up a second time
            connection.response_class = FinalResponse
            yield connection
    except (TimeoutError, urllib3.exceptions.TimeoutError) as exc:
        raise FetchFailed(
            f"{target.host} did not answer within {policy.timeout:g} seconds{advice.timeout}.",
            code="fetch_timeout",
        ) from exc
    except ssl.SSLCertVerificationError as exc:
        raise FetchFailed(
            f"The certificate of {target.host} is not valid ({exc.verify_message})"
            f"{advice.certificate}.",
            code="fetch_unreachable",
        ) from exc
    except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as exc:
        raise FetchFailed(
            f"{target.host} could not be reached or closed the connection{advice.unreachable}.",
            code="fetch_unreachable",
        ) from exc


class Deadline:
    """One wall-clock limit over many socket operations.

    A plain socket timeout restarts with each byte: a slow server could hold a client forever.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, more than 0. Raises TimeoutError if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left


class DeadlineSocket:
    """The part of a socket that http.client uses. Each operation gets the remaining time.

    ``close`` and ``settimeout`` do nothing: http.client closes the socket before the body is
    read, so the owner of the socket closes it. The deadline is the only timeout.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.remaining())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline), 65_536)

    def settimeout(self, seconds: float | None) -> None: ...

    def close(self) -> None: ...


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv_into(buffer)


class FinalResponse(http.client.HTTPResponse):
    """Skips interim responses (100, 102, 103); http.client skips only 100."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM_RESPONSES):
            status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            # 101 changes the protocol, and no other response follows.
            if not 100 <= status[1] < 200 or status[1] == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return status
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("too many interim responses")


def _refused(message: str) -> FetchFailed:
    return FetchFailed(message, code="fetch_refused")


def _look_up(target: Target, resolve: Resolver, deadline: Deadline) -> list[str]:
    try:
        return [str(ip_address(target.host))]
    except ValueError:
        pass
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(target.host, target.port))
        # UnicodeError: a label that is empty or longer than 63 characters.
        except (OSError, UnicodeError) as exc:
            answers.put(exc)

    # getaddrinfo has no time limit.
    threading.Thread(target=ask, name="dns", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining())
    except queue.Empty as exc:
        raise TimeoutError("name look-up") from exc
    if isinstance(answer, Exception) or not answer:
        raise FetchFailed(
            f"The host {target.host} is not known; check the spelling of the address.",
            code="fetch_unreachable",
        )
    return list(answer)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Cached: loading the system's certificates takes longer than most fetches."""
    return ssl.create_default_context()
