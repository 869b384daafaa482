"""The codes of an authenticator app (RFC 6238), without the product's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

STEP = 30


def code(secret: str, later: int = 0) -> str:
    """What the app shows ``later`` steps from now."""
    counter = int(time.time()) // STEP + later
    key = base64.b32decode(secret)
    mac = hmac.digest(key, counter.to_bytes(8, "big"), hashlib.sha1)
    start = mac[-1] & 15
    value = int.from_bytes(mac[start : start + 4], "big") & 0x7FFFFFFF
    return f"{value % 10**6:06}"
