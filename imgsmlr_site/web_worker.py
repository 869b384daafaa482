"""The worker class of gunicorn that serves HTTP: waitress reads and sends, threads answer.

gunicorn starts the processes, watches them and stops them. In each of them the main thread reads
all requests and sends all answers (waitress). A request is given to a thread once it is here as a
whole, so a slow client holds a socket and no thread. ``Deadlines`` bounds how long it may hold it
(docs/adr/0025-slow-clients.md).
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

from gallery.net import fetching
from imgsmlr_site.access import may_send_much
from imgsmlr_site.edge import body_limit
from imgsmlr_site.errors import problem
from imgsmlr_site.quick_end import end_now

HEALTH: Final = "/healthz"
"""What the main thread answers itself, as it asks for nothing: so it waits for no thread."""
READINESS: Final = "/readyz"
"""What has a thread of its own, as it asks the database: it never waits behind other requests."""
BODY_IN_MEMORY: Final = 128 * 1024
"""Bytes of a body or an answer that are kept in memory. Longer ones go to a file."""
SMALL_BODY: Final = 2**20
"""Larger bodies are read only from callers with a scope, and count as ``WEB_SPOOL_MB``."""
CHUNK: Final = 64 * 1024
TURN: Final = 256 * 1024
"""Bytes that one connection is sent before others have their turn."""
MAX_HEADERS: Final = 64 * 1024
MAX_ANSWER: Final = 2**30
"""Bytes of an answer that may wait for its reader before the thread that makes it waits too."""
DRAIN_SECONDS: Final = 3.0
"""How long a refused body is read and dropped, so that its sender can read the refusal."""
LINGER_SECONDS: Final = 2.0
"""How long a stopping process takes requests on open connections. It closes them afterwards."""
PATIENCE: Final = 0.5
"""Seconds that a new connection has to send its request, however many there are."""
SWITCH_SECONDS: Final = 0.001
OPEN_FILES: Final = 4096
MANY: Final = 100
PAUSE: Final = 0.005
"""With more than MANY connections the loop pauses, so that one pass serves several of them."""

Application = Callable[..., Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for each phase of an exchange.

    A body or an answer must move ``rate`` bytes a second on average, once ``grace`` is over. For an
    answer the average starts again after twice that time.
    """

    idle: float
    headers: float
    body: float
    grace: float
    rate: float

    def passed(self, phase: str, spent: float, moved: int) -> bool:
        """Whether a phase of ``spent`` seconds that moved ``moved`` bytes takes too long."""
        if phase == "body" and spent > self.body:
            return True
        if phase in ("body", "sending"):
            return spent > self.grace + moved / self.rate
        return spent > {"idle": self.idle, "headers": self.headers}.get(phase, DRAIN_SECONDS)


class TooManyBodies:
    """The answer to a large body while others fill ``WEB_SPOOL_MB``."""

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        body = problem(429, "busy", "Too many large uploads at once: try again in 30 s.")
        headers = [("Content-Type", "application/json"), ("Retry-After", "30")]
        return "429 Too Many Requests", headers, orjson.dumps(body)


class Parser(HTTPRequestParser):
    """Ends a request at its headers if its body will not be read.

    It then reaches the views without a body. ``EdgeMiddleware`` refuses it by its Content-Length.
    """

    refused = False
    asked = False
    admitted = False

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        self.most = body_limit(self.path)
        if self.content_length > self.most:
            self.refuse()

    def received(self, data: bytes) -> int:
        if self.refused:
            return len(data)
        taken: int = super().received(data)
        if self.chunked and self.body_bytes_received > self.most:
            self.headers["CONTENT_LENGTH"] = str(self.body_bytes_received)
            self.refuse()
        return taken

    def refuse(self, error: TooManyBodies | None = None) -> None:
        self.close()
        self.body_rcv = None
        self.content_length = 0
        self.error = error
        self.refused = self.completed = True
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"

    @property
    def spooled(self) -> int:
        """Bytes that the body may take in a file."""
        size: int = self.most if self.chunked else self.content_length
        return 0 if self.refused or self.body_rcv is None or size <= SMALL_BODY else size


class Admission:
    """A task: decide whether the large body of a request is read. Reading waits for it.

    A refused request goes to its view without the body, which answers as the caller deserves.
    """

    def __init__(self, channel: Channel, request: Parser) -> None:
        self.channel = channel
        self.request = request

    def service(self) -> None:
        channel, request = self.channel, self.request
        try:
            close_old_connections()
            if not may_send_much(WSGITask(channel, request).get_environment()):
                channel.end_request(request)
            elif channel.server.spooled() + request.spooled > settings.WEB_SPOOL_BYTES:
                channel.end_request(request, TooManyBodies())
            request.admitted = True
        except DatabaseError:
            channel.end_request(request)  # the view meets the same error, and answers
        finally:
            channel.deciding = False
            channel.server.pull_trigger()

    def cancel(self) -> None:
        self.channel.cancel()


class Channel(HTTPChannel):
    """One connection."""

    server: Server
    parser_class = Parser
    sent = 0
    turn_began_at = 0
    refused = False
    draining = False
    deciding = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._stage: tuple[str, Any] = ("headers", None)
        self._moved = 0
        self.since = time.monotonic()
        super().__init__(*args, **kwargs)
        self.sendbuf_len = CHUNK

    @property
    def phase(self) -> str:
        if self.draining:
            return "draining"
        if self.total_outbufs_len >= (self.adj.send_bytes if self.requests else 1):
            return "sending"
        if self.requests or self.deciding:
            return "working"
        if self.request is None:
            return "idle" if self.sent else "headers"
        return "body" if self.request.headers_finished else "headers"

    def end_if_slow(self, deadlines: Deadlines) -> None:
        """Close the connection if its client is too slow. Called about every second."""
        now, phase = time.monotonic(), self.phase
        moved = self.request.body_bytes_received if phase == "body" else self.sent
        # Each request of a connection has its own deadlines.
        stage = (phase, self.last_activity if phase == "idle" else self.request)
        if phase == "working" or stage != self._stage:
            self._stage, self.since, self._moved = stage, now, moved
        elif deadlines.passed(phase, now - self.since, moved - self._moved):
            if phase in ("headers", "body") and self.request is not None:
                self._say_too_slow()
            self.handle_close()
        elif phase == "sending" and now - self.since > 2 * deadlines.grace:
            # The megabytes that the kernel took at first must not count for an hour.
            self.since, self._moved = now, moved

    def _say_too_slow(self) -> None:
        body = orjson.dumps(problem(408, "too_slow", "The request came too slowly: send it again."))
        head = (
            "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            self.socket.send(head.encode() + body)

    def received(self, data: bytes) -> bool:
        going: bool = super().received(data)
        request = self.request
        if request is not None and request.headers_finished and not request.asked:
            request.asked = True
            if request.spooled:
                self.deciding = True
                self.server.task_dispatcher.add_task(Admission(self, request))
        return going

    def end_request(self, request: Parser, error: TooManyBodies | None = None) -> None:
        """Hand a request over without its body. Nothing is being read meanwhile."""
        request.refuse(error)
        super().received(b"\0")  # the parser drops this byte, and is seen to be complete

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send, or return 0 if this connection has had its turn: others wait for theirs."""
        if self.sent - self.turn_began_at >= TURN:
            return 0
        count: int = super().send(data, do_close=do_close)
        self.sent += count
        return count

    def readable(self) -> bool:
        return self.draining or (not self.deciding and bool(super().readable()))

    def writable(self) -> bool:
        return not self.draining and bool(super().writable())

    def handle_read(self) -> None:
        if not self.draining:
            super().handle_read()
        elif not self.recv(self.adj.recv_bytes):
            self.handle_close()

    def handle_write(self) -> None:
        self.turn_began_at = self.sent
        if not (self.refused and self.close_when_flushed) or self.will_close:
            super().handle_write()
            return
        # To close while the client sends would reset the connection, and the answer would be lost.
        self._flush_exception(self._flush_some)
        if not self.total_outbufs_len and not self.will_close:
            self.draining = True
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)


class Dispatcher(Protocol):
    def add_task(self, task: Any) -> None: ...


class InTurn:
    """Keeps requests until the main thread has read all that was there, and then answers them."""

    def __init__(self) -> None:
        self.channels: deque[Channel] = deque()

    def add_task(self, task: Any) -> None:
        self.channels.append(task)

    def run(self) -> None:
        while self.channels:
            self.channels.popleft().service()


class Server(TcpWSGIServer):
    """What listens on one address, with its connections."""

    channel_class = Channel
    stopping = False
    active_channels: dict[int, Channel]

    def __init__(
        self, *args: Any, most: int, probes: Mapping[str, Dispatcher], **kwargs: Any
    ) -> None:
        self.most = most
        self.probes = probes
        super().__init__(*args, **kwargs)

    def add_task(self, channel: Channel) -> None:
        request = channel.requests[0]
        channel.refused = request.refused or request.error is not None
        if self.stopping:
            request.headers["CONNECTION"] = "close"
        tasks = self.probes.get(getattr(request, "path", "")) or self.task_dispatcher
        tasks.add_task(channel)

    def handle_accept(self) -> None:
        super().handle_accept()
        self.shed()

    def shed(self) -> None:
        """Above the most connections, close those whose clients have kept us waiting longest."""
        excess = len(self.active_channels) - self.most
        if excess <= 0:
            return
        patient_since = time.monotonic() - PATIENCE
        waiting = [
            channel
            for channel in self.active_channels.values()
            if channel.since < patient_since and channel.phase not in ("working", "sending")
        ]
        for channel in sorted(waiting, key=lambda channel: channel.since)[:excess]:
            channel.handle_close()

    def spooled(self) -> int:
        """Bytes that the large bodies which are read here, or were, may take in files."""
        channels = list(self.active_channels.values())
        requests = [r for c in channels for r in (c.request, *c.requests)]
        return sum(r.spooled for r in requests if r is not None and r.admitted)


class WebWorker(Worker):
    """A process of the web server. It stops as gunicorn asks, within ``graceful_timeout``."""

    def init_process(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
        # Otherwise the thread that reads and sends waits 5 ms for each thread that works.
        sys.setswitchinterval(SWITCH_SECONDS)
        # One thread at least is left for requests without a link.
        fetching.limit_at_once(settings.WEB_LINKS, waiting=settings.WEB_THREADS - 1)
        super().init_process()

    def run(self) -> None:
        self.deadlines = Deadlines(
            idle=settings.WEB_KEEP_ALIVE,
            headers=settings.WEB_HEADER_SECONDS,
            body=settings.WEB_BODY_SECONDS,
            grace=settings.WEB_GRACE_SECONDS,
            rate=settings.WEB_MIN_RATE,
        )
        self.connections: dict[int, Any] = {}
        self.checked = 0.0
        tasks = dispatcher(self.cfg.threads)
        self.health = InTurn()
        probes = {HEALTH: self.health, READINESS: dispatcher(1)}
        adjustments = Adjustments(
            asyncore_use_poll=True,
            backlog=2048,
            channel_timeout=10**9,
            cleanup_interval=10**9,
            clear_untrusted_proxy_headers=False,
            connection_limit=settings.WEB_CONNECTIONS + 100,
            ident=None,
            inbuf_overflow=BODY_IN_MEMORY,
            log_socket_errors=False,
            max_request_body_size=2**63,
            max_request_header_size=MAX_HEADERS,
            outbuf_high_watermark=MAX_ANSWER,
            outbuf_overflow=BODY_IN_MEMORY,
            recv_bytes=65_536,
            server_name="localhost",
        )
        self.servers = [
            Server(
                without_body_for_head(self.wsgi),
                self.connections,
                _sock=listener.sock,
                dispatcher=tasks,
                adj=adjustments,
                bind_socket=False,
                sockinfo=(listener.sock.family, listener.sock.type, 0, listener.getsockname()),
                most=settings.WEB_CONNECTIONS,
                probes=probes,
            )
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self._turn()
        self._stop()
        end_now(0)

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        for server in getattr(self, "servers", []):
            server.pull_trigger()

    def _turn(self) -> None:
        """Read and send what is ready, and once a second end what is too slow."""
        self.notify()
        if len(self.connections) > MANY:
            time.sleep(PAUSE)
        wasyncore.poll2(1.0, self.connections)
        self.health.run()
        if time.monotonic() - self.checked > 1:
            self.checked = time.monotonic()
            for channel in self._channels():
                channel.end_if_slow(self.deadlines)
            for server in self.servers:
                server.shed()

    def _channels(self) -> list[Channel]:
        return [channel for server in self.servers for channel in server.active_channels.values()]

    def _stop(self) -> None:
        """Take no more connections, and answer the requests that are here or on their way."""
        began = time.monotonic()
        for server in self.servers:
            server.stopping = True
            wasyncore.dispatcher.close(server)
        while (spent := time.monotonic() - began) < self.cfg.graceful_timeout:
            busy = {channel.phase for channel in self._channels()}
            if not busy or (spent > LINGER_SECONDS and busy <= {"idle", "headers", "draining"}):
                break
            self._turn()


def dispatcher(threads: int) -> ThreadedTaskDispatcher:
    found = ThreadedTaskDispatcher()
    found.set_thread_count(threads)
    return found


def without_body_for_head(application: Application) -> Application:
    """Wrap a WSGI application: the answer to a HEAD request has headers only, as HTTP requires."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer = application(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer
        if hasattr(answer, "close"):
            answer.close()
        return []

    return wrapped
