"""A WSGI application for tests of the web server: it says what it got, and may take its time."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable
from typing import Any

from gallery.net.fetching import TooManyFetches, fetch
from gallery.net.transport import FetchFailed, FetchPolicy
from imgsmlr_site.env import LOOPBACK

BIG = b"0123456789" * 3_000_000
POLICY = FetchPolicy(max_bytes=100, timeout=60, allow_private=LOOPBACK)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path, status, body = environ["PATH_INFO"], "200 OK", b""
    if path == "/big":
        start_response(status, [("Content-Length", str(len(BIG)))])
        wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(BIG))
        return wrapper
    if path == "/stream":
        start_response(status, [])
        return (BIG[:100_000] for _ in range(300))
    if path == "/sleep" or (path == "/readyz" and environ["QUERY_STRING"]):
        threading.Event().wait(float(environ["QUERY_STRING"]))
    elif path == "/fetch":
        try:
            fetch(environ["QUERY_STRING"], POLICY)
        except TooManyFetches:
            status = "429 Too Many Requests"
        except FetchFailed as error:
            body = error.code.encode()
    else:
        names = ("REQUEST_METHOD", "PATH_INFO", "CONTENT_LENGTH", "REMOTE_ADDR")
        told = {name: environ.get(name) for name in names}
        told["forwarded"] = environ.get("HTTP_X_FORWARDED_FOR")
        told["read"] = len(environ["wsgi.input"].read())
        body = json.dumps(told).encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
