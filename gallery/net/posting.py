"""Bytes → a URL that an outsider may have chosen, by POST, under the rules of ``fetching``.

The host is resolved once, every address it has must be allowed, one deadline covers all, and no
redirect is followed: a message is for the address that was configured, and no other.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from contextlib import closing

import urllib3

from gallery.net.answers import connection_over
from gallery.net.deadlines import Deadline
from gallery.net.fetching import (
    FetchFailed,
    FetchPolicy,
    Resolver,
    Target,
    checked_addresses,
    connect,
    system_resolver,
)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    policy: FetchPolicy,
    *,
    resolve: Resolver = system_resolver,
) -> int:
    """POST the body and answer the status, whichever it is; what the far side says is not read.

    Raises FetchFailed when there is no answer in time or the address is not allowed.
    """
    deadline = Deadline(policy.timeout)
    target = Target.parse(url, "")
    try:
        addresses = checked_addresses(target, policy, resolve, deadline)
        with closing(connect(target, addresses, deadline)) as sock:
            connection = connection_over(sock, target.host, target.port, deadline)
            given = {
                "Host": target.authority,
                "User-Agent": policy.user_agent,
                "Connection": "close",
                "Content-Length": str(len(body)),
                **headers,
            }
            connection.request("POST", target.path, body=body, headers=given, preload_content=False)
            return connection.getresponse().status
    except (TimeoutError, urllib3.exceptions.TimeoutError) as exc:
        raise FetchFailed(
            f"{target.host} did not answer within {policy.timeout:g} seconds.",
            code="fetch_timeout",
        ) from exc
    except ssl.SSLCertVerificationError as exc:
        raise FetchFailed(
            f"The certificate of {target.host} is not valid ({exc.verify_message}).",
            code="fetch_unreachable",
        ) from exc
    except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as exc:
        raise FetchFailed(
            f"{target.host} could not be reached or broke off.", code="fetch_unreachable"
        ) from exc
