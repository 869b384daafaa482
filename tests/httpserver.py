"""A local HTTP server for tests: real sockets, handlers that may misbehave.

>>> with HttpServer({"/a.png": Reply(b"...")}) as server:
...     fetch(server.url + "/a.png")

A route is bytes, a ``Reply``, or a function of the request handler that writes to the socket
itself. ``directory`` serves files for every other path. ``server.requests`` lists what came in.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Reply:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[["RequestHandler"], None]
Route = bytes | Reply | Handler


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


class RequestHandler(BaseHTTPRequestHandler):
    server: _Server
    # Unbuffered headers and body in two packets would wait for a delayed ACK.
    wbufsize = -1
    disable_nagle_algorithm = True
    body = b""

    def do_GET(self) -> None:
        owner = self.server.owner
        self.protocol_version = owner.protocol
        owner.requests.append(Request(self.command, self.path, dict(self.headers)))
        path = unquote(urlsplit(self.path).path)
        route = owner.routes.get(path)
        if route is None and owner.directory is not None:
            file = (owner.directory / path.lstrip("/")).resolve()
            if file.is_file() and file.is_relative_to(owner.directory.resolve()):
                route = file.read_bytes()
        if route is None:
            route = Reply(b"no such page", 404)
        try:
            if callable(route):
                route(self)
            else:
                self.reply(route if isinstance(route, Reply) else Reply(route))
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    do_PUT = do_POST

    def reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    owner: HttpServer

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), RequestHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is what many of these tests are about."""


class HttpServer:
    """Serves until the ``with`` block ends. ``url`` has no trailing slash."""

    def __init__(
        self,
        routes: Mapping[str, Route] | None = None,
        *,
        directory: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        self.directory = directory
        self.requests: list[Request] = []
        self.protocol = "HTTP/1.0"
        self._server = _Server(host, port)
        self._server.owner = self
        self.stopping = threading.Event()
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if tls is None else 'https'}://{name}:{self.port}"

    def __enter__(self) -> HttpServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def redirect(to: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": to})


def gzipped(body: bytes, **headers: str) -> Reply:
    """Compressed whether the client asked for it or not."""
    return Reply(gzip.compress(body, 9), headers={"Content-Encoding": "gzip", **headers})


def slow_headers(pause: float) -> Handler:
    """A status line, then one header byte every ``pause`` seconds."""

    def handle(handler: RequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        _drip(handler, pause)

    return handle


def slow_body(pause: float) -> Handler:
    """Good headers, then one body byte every ``pause`` seconds."""

    def handle(handler: RequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        _drip(handler, pause)

    return handle


def _drip(handler: RequestHandler, pause: float) -> None:
    for _ in range(100_000):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(pause)


def endless_body(handler: RequestHandler) -> None:
    """No Content-Length, and it never stops."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"\0" * 65536)


def hang(seconds: float) -> Handler:
    """Accepts, reads the request, says nothing for so long."""

    def handle(handler: RequestHandler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return handle
