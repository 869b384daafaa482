"""Send to a URL that an outsider may have chosen, over ``transport``.

No redirect is followed: a message is only for the configured address.
"""

from __future__ import annotations

from collections.abc import Mapping

from gallery.net.transport import (
    Advice,
    Deadline,
    FetchPolicy,
    Resolver,
    Target,
    guarded_connection,
    system_resolver,
)


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
        return connection.getresponse().status
