"""URL → bytes or a file, from addresses that an outsider may choose (server-side request forgery).

A host is resolved once, every address it has must be allowed, and the connection goes to one of
those addresses, so a second DNS answer cannot lead elsewhere; the name stays in the Host header,
in SNI and in the certificate check. Every redirect starts over. Environment proxies, cookies and
credentials play no part, and one wall-clock deadline covers look-up, connection and body.

Ports: 80 and 443 on public addresses, any port on addresses inside ``allow_private``.

The address ranges come from the AntiSSRF package (``addresses``). Its ``requests`` adapter
is not used: its timeouts are per read, it drops the port from the Host header and tries only the
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import BinaryIO, Final
from urllib.parse import urljoin

import urllib3

from gallery.net.addresses import Network, is_public, within
from gallery.net.answers import connection_over
from gallery.net.deadlines import Deadline
from gallery.shared.errors import UserError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
CHUNK: Final = 65_536
VALIDATOR_CHARACTERS: Final = 255
"""Of an ETag or a date; a longer one is cut, and then never matches."""

Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) → its addresses as text; raises OSError when there are none."""


class FetchFailed(UserError):
    """``upstream_status`` is what the far server answered; 500 if it was not reached or refused.

    Codes: fetch_refused (scheme, address, port or credentials not allowed), fetch_unreachable,
    fetch_timeout, fetch_status (not 2xx), fetch_redirects (too many), fetch_too_large.
    """

    code = "fetch_unreachable"

    def __init__(self, message: str, *, code: str, upstream_status: int = 500) -> None:
        super().__init__(message, code=code)
        self.upstream_status = upstream_status


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Limits of one fetch. ``max_bytes`` counts decoded bytes, ``timeout`` is in seconds for all.

    ``allow_private`` names networks that may be reached although they are not public, and
    ``allowed_by`` is the setting that does.
    """

    max_bytes: int
    timeout: float
    allow_private: tuple[Network, ...] = ()
    max_redirects: int = 3
    user_agent: str = "imgsmlr-server"
    allowed_by: str = "FETCH_ALLOW_PRIVATE"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The body, and the URL it came from after redirects, in normal form without fragment.

    ``etag`` and ``last_modified`` are what the host says of this state of it, "" if nothing.
    """

    data: bytes
    url: str
    etag: str = ""
    last_modified: str = ""


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a host as the operating system knows them, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def fetch(
    url: str,
    policy: FetchPolicy,
    *,
    etag: str = "",
    last_modified: str = "",
    resolve: Resolver = system_resolver,
) -> Fetched:
    """GET the URL within the policy. Raises FetchFailed and nothing else.

    With what the host said of an earlier state it is asked for a later one alone; FetchFailed has
    the ``upstream_status`` 304 where there is none.
    """
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    body = io.BytesIO()
    final, headers = _fetch_into(
        body, url, policy, resolve, {name: value for name, value in conditions.items() if value}
    )
    return Fetched(
        body.getvalue(),
        final,
        etag=headers.get("ETag", "")[:VALIDATOR_CHARACTERS],
        last_modified=headers.get("Last-Modified", "")[:VALIDATOR_CHARACTERS],
    )


def fetch_into(
    body: BinaryIO, url: str, policy: FetchPolicy, *, resolve: Resolver = system_resolver
) -> str:
    """GET the URL, write what it holds to ``body``, and answer where it came from (``Fetched``).

    Raises FetchFailed, also midway; ``OSError`` is the far side's too, so that a ``body`` which
    cannot be written to looks like it.
    """
    return _fetch_into(body, url, policy, resolve, {})[0]


def _fetch_into(
    body: BinaryIO,
    url: str,
    policy: FetchPolicy,
    resolve: Resolver,
    conditions: Mapping[str, str],
) -> tuple[str, Mapping[str, str]]:
    deadline = Deadline(policy.timeout)
    base = ""
    for _ in range(policy.max_redirects + 1):
        target = Target.parse(url, base)
        try:
            addresses = checked_addresses(target, policy, resolve, deadline)
            with closing(connect(target, addresses, deadline)) as sock:
                response = _request(sock, target, policy, deadline, conditions)
                location = response.headers.get("Location")
                if response.status not in REDIRECTS or location is None:
                    _read(response, target, policy, body)
                    return target.url, response.headers
        except (TimeoutError, urllib3.exceptions.TimeoutError) as exc:
            raise FetchFailed(
                f"{target.host} did not deliver the file within {policy.timeout:g} seconds; "
                "try again later or upload the file.",
                code="fetch_timeout",
            ) from exc
        except ssl.SSLCertVerificationError as exc:
            raise FetchFailed(
                f"The certificate of {target.host} is not valid ({exc.verify_message}); "
                "its owner has to renew it, or upload the file.",
                code="fetch_unreachable",
            ) from exc
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as exc:
            raise FetchFailed(
                f"{target.host} could not be reached or broke off; check the address and retry.",
                code="fetch_unreachable",
            ) from exc
        # http.client reads headers as Latin-1; servers send UTF-8.
        url, base = location.encode("latin-1").decode("utf-8", "replace"), target.url
    raise FetchFailed(
        f"The address redirects more than {policy.max_redirects} times; "
        "give the final address of the file.",
        code="fetch_redirects",
    )


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. ``host`` is ASCII (IDNA) in lower case, without brackets."""

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
        """One parser for all uses: what is checked is what is connected to.

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


def _refused(message: str) -> FetchFailed:
    return FetchFailed(message, code="fetch_refused")


def checked_addresses(
    target: Target, policy: FetchPolicy, resolve: Resolver, deadline: Deadline
) -> list[str]:
    """All addresses of the host; refuses the host if a single one is not allowed."""
    texts = _look_up(target, resolve, deadline)
    # The sentences do not name the address: inner DNS is not for outsiders to read.
    for address in map(ip_address, texts):
        if within(address, policy.allow_private):
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

    # getaddrinfo cannot be given a time limit.
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


def connect(target: Target, addresses: list[str], deadline: Deadline) -> socket.socket:
    """A socket open to the first address that answers, TLS included; the caller closes it."""
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


@functools.cache
def _tls() -> ssl.SSLContext:
    """Loading the system's certificates takes longer than most fetches."""
    return ssl.create_default_context()


def _request(
    sock: socket.socket,
    target: Target,
    policy: FetchPolicy,
    deadline: Deadline,
    conditions: Mapping[str, str],
) -> urllib3.HTTPResponse:
    connection = connection_over(sock, target.host, target.port, deadline)
    headers = {
        "Host": target.authority,
        "User-Agent": policy.user_agent,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **conditions,
    }
    connection.request("GET", target.path, headers=headers, preload_content=False)
    return connection.getresponse()


def _read(
    response: urllib3.HTTPResponse, target: Target, policy: FetchPolicy, body: BinaryIO
) -> None:
    if not 200 <= response.status < 300:
        raise FetchFailed(
            f"{target.host} answered {response.status} for this address; "
            "check that the file is there and public.",
            code="fetch_status",
            upstream_status=response.status,
        )
    if (response.length_remaining or 0) <= policy.max_bytes:
        size = 0
        for chunk in response.stream(CHUNK, decode_content=True):
            size += len(chunk)
            if size > policy.max_bytes:
                break
            body.write(chunk)
        else:
            return
    raise FetchFailed(
        f"The file has more than the {policy.max_bytes:,} bytes accepted; give a smaller version.",
        code="fetch_too_large",
    )
