"""Links to objects of S3, signed for one request (AWS Signature Version 4 in the query)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from gallery.net.transport import Target

LINK_SECONDS: Final = 60


@dataclass(frozen=True)
class SigningKey:
    access_key: str
    secret_key: str
    region: str


def signed_link(
    method: str,
    address: str,
    key: SigningKey,
    *,
    query: Mapping[str, str] | None = None,
    seconds: int = LINK_SECONDS,
    now: datetime | None = None,
) -> str:
    """Return ``address``, whose path is quoted, with what lets its holder send this request.

    The body is not signed. ``seconds``: how long the link is good for.
    """
    at = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{at[:8]}/{key.region}/s3/aws4_request"
    values = {
        **(query or {}),
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{key.access_key}/{scope}",
        "X-Amz-Date": at,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    text = urlencode(sorted(values.items()), quote_via=quote, safe="")
    target = Target.parse(address, "")
    lines = (method, target.path, text, f"host:{target.authority}", "", "host", "UNSIGNED-PAYLOAD")
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    signature = _signing_key(key, at[:8])
    for part in ("s3", "aws4_request", "\n".join(("AWS4-HMAC-SHA256", at, scope, request))):
        signature = _hmac(signature, part)
    return f"{target.url}?{text}&X-Amz-Signature={signature.hex()}"


def _signing_key(key: SigningKey, day: str) -> bytes:
    return _hmac(_hmac(f"AWS4{key.secret_key}".encode(), day), key.region)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
