"""Fetch a URL as bytes or into a file, by GET over ``transport``. Checks every redirect again."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import urllib3

from gallery.net.transport import (
    Advice,
    Deadline,
    FetchFailed,
    FetchPolicy,
    Resolver,
    Target,
    guarded_connection,
    system_resolver,
)
from gallery.shared.errors import Busy

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
CHUNK: Final = 65_536
PLACE_WAIT: Final = 2.0
VALIDATOR_CHARACTERS: Final = 255
"""Longest ETag or date stored. A longer one is cut, and then never matches."""

_ADVICE: Final = Advice(
    timeout="; try again later or upload the file",
    certificate="; its owner has to renew it, or upload the file",
    unreachable="; check the address and retry",
)


class TooManyFetches(Busy):
    """All places for fetching links are taken by links that have not answered yet."""

    code = "busy_fetching"


_places: threading.BoundedSemaphore | None = None
_queue: threading.BoundedSemaphore


def limit_at_once(count: int, *, waiting: int) -> None:
    """Let this process fetch at most ``count`` links at once.

    ``waiting`` more may wait for a place for up to ``PLACE_WAIT`` seconds. Others raise
    TooManyFetches, so that slow hosts never hold more than ``count + waiting`` threads.
    """
    global _places, _queue
    _places, _queue = threading.BoundedSemaphore(count), threading.BoundedSemaphore(waiting)


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """The body, and the URL it came from after redirects, normalised and without fragment.

    ``etag`` and ``last_modified``: headers of the response, "" if missing.
    """

    data: bytes
    url: str
    etag: str = ""
    last_modified: str = ""


def fetch(
    url: str,
    policy: FetchPolicy,
    *,
    etag: str = "",
    last_modified: str = "",
    resolve: Resolver = system_resolver,
) -> FetchedFile:
    """GET the URL within the policy. Raises FetchFailed and nothing else.

    ``etag`` and ``last_modified`` of an earlier response make the request conditional: if the
    file has not changed, FetchFailed has the ``upstream_status`` 304.
    """
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    body = io.BytesIO()
    final, headers = _fetch_into(
        body, url, policy, resolve, {name: value for name, value in conditions.items() if value}
    )
    return FetchedFile(
        body.getvalue(),
        final,
        etag=headers.get("ETag", "")[:VALIDATOR_CHARACTERS],
        last_modified=headers.get("Last-Modified", "")[:VALIDATOR_CHARACTERS],
    )


def fetch_into(
    body: BinaryIO, url: str, policy: FetchPolicy, *, resolve: Resolver = system_resolver
) -> str:
    """GET the URL into ``body``. Return the URL after redirects, as in ``FetchedFile``.

    Raises FetchFailed, even after part of the body, and also if ``body`` raises ``OSError``.
    """
    return _fetch_into(body, url, policy, resolve, {})[0]


def _fetch_into(
    body: BinaryIO,
    url: str,
    policy: FetchPolicy,
    resolve: Resolver,
    conditions: Mapping[str, str],
) -> tuple[str, Mapping[str, str]]:
    with _place():
        return _fetch_checked(body, url, policy, resolve, conditions)


@contextmanager
def _place() -> Iterator[None]:
    """Hold one of the places of ``limit_at_once``."""
    if _places is None:
        yield
        return
    if not (_places.acquire(blocking=False) or _wait_for(_places)):
        raise TooManyFetches(
            "Too many links are fetched at this moment: try again in 5 s, or upload the file.",
            wait=5,
        )
    try:
        yield
    finally:
        _places.release()


def _wait_for(places: threading.BoundedSemaphore) -> bool:
    if not _queue.acquire(blocking=False):
        return False
    try:
        return places.acquire(timeout=PLACE_WAIT)
    finally:
        _queue.release()


def _fetch_checked(
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
        headers = {
            "Host": target.authority,
            "User-Agent": policy.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **conditions,
        }
        with guarded_connection(target, policy, resolve, deadline, _ADVICE) as connection:
            connection.request("GET", target.path, headers=headers, preload_content=False)
            response = connection.getresponse()
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                _read(response, target, policy, body)
                return target.url, response.headers
        # http.client reads headers as Latin-1; servers send UTF-8.
        url, base = location.encode("latin-1").decode("utf-8", "replace"), target.url
    raise FetchFailed(
        f"The address redirects more than {policy.max_redirects} times; "
        "give the final address of the file.",
        code="fetch_redirects",
    )


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
