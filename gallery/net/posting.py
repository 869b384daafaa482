"""Send a request to a URL that an outsider may have chosen, over ``transport``.

No redirect is followed: a message, and the credentials that come with it, are only for the
configured address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

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

CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    policy: FetchPolicy,
    *,
    method: str = "POST",
    resolve: Resolver = system_resolver,
) -> int:
    """Send the body and return any status. The body of the answer is not read.

    Raises FetchFailed if there is no answer in time or the address is not allowed.
    """
    with _sent(method, url, body, headers, policy, resolve) as response:
        return response.status


def call(
    method: str,
    url: str,
    policy: FetchPolicy,
    *,
    body: bytes = b"",
    headers: Mapping[str, str],
    resolve: Resolver = system_resolver,
) -> Answer:
    """Send a request and return any status with the whole body.

    Raises FetchFailed as ``post`` does, and if the body is larger than the policy accepts or ends
    early.
    """
    with _sent(method, url, body, headers, policy, resolve) as response:
        data = bytearray()
        for chunk in response.stream(CHUNK, decode_content=True):
            data += chunk
            if len(data) > policy.max_bytes:
                raise FetchFailed(
                    f"The answer has more than {policy.max_bytes:,} bytes.", code="fetch_too_large"
                )
        return Answer(response.status, bytes(data))


@contextmanager
def _sent(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    policy: FetchPolicy,
    resolve: Resolver,
) -> Iterator[urllib3.HTTPResponse]:
    target = Target.parse(url, "")
    given = {
        "Host": target.authority,
        "User-Agent": policy.user_agent,
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    deadline = Deadline(policy.timeout)
    with guarded_connection(target, policy, resolve, deadline, Advice()) as connection:
        connection.request(method, target.path, body=body, headers=given, preload_content=False)
        yield connection.getresponse()
