"""The web server alone, as a real process: slow clients, slow links, and odd requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.processes import wait_until
from tests.service import free_port

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "OPEN_API": "1",
    "WEB_PROCESSES": "1",
    "WEB_THREADS": "2",
    "WEB_LINKS": "2",
    "WEB_CONNECTIONS": "100",
    "WEB_HEADER_SECONDS": "1",
    "WEB_GRACE_SECONDS": "1",
    "WEB_KEEP_ALIVE": "1",
    "WEB_SPOOL_MB": "5",
    "MAX_UPLOAD_MB": "1",
    "MAX_VIDEO_MB": "8",
}
MB = 2**20


class WebServer:
    def __init__(self) -> None:
        self.port = free_port()
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
        conf = "python:imgsmlr_site.gunicorn_conf"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", conf, "tests.site.echo_app:application"],
            cwd=ROOT,
            env={**os.environ, **SETTINGS, "PORT": str(self.port)},
            stderr=self.log,
        )
        while self.process.poll() is None:
            try:
                self.get("/healthz")
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("The web server does not start.")

    def get(self, path: str = "/", method: str = "GET") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path)
        return connection.getresponse()

    def open(self, text: str | bytes = b"") -> socket.socket:
        """A connection that has sent ``text``."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(text.encode() if isinstance(text, str) else text)
        return connection

    def ask(self, text: str | bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to exactly these bytes."""
        with self.open(text) as connection:
            return answer_on(connection)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


def answer_on(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.headers), response.read()


def told(text: bytes) -> Any:
    return json.loads(text)


def drip(connections: list[socket.socket], byte: bytes) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):  # the server may have closed it
            connection.send(byte)


def until_closed(connections: list[socket.socket], byte: bytes) -> list[bytes]:
    """What each connection got until the server closed it, while a byte is sent now and then."""
    got = [b"" for _ in connections]
    left = set(range(len(connections)))
    for connection in connections:
        connection.setblocking(False)
    while left:
        drip([connections[number] for number in left], byte)
        time.sleep(0.2)
        for number in sorted(left):
            try:
                part = connections[number].recv(4096)
            except BlockingIOError:
                continue
            except ConnectionError:
                part = b""
            got[number] += part
            if not part:
                left.discard(number)
    return got


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


def is_closed_by_peer(connection: socket.socket) -> bool:
    """Whether the other side has closed; its end is not here while sent bytes are unread."""
    ports = [f"{end[1]:04X}" for end in (connection.getpeername(), connection.getsockname())]
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = [row for row in rows if row[3] == "01"]
    return ports not in [[row[1][-4:], row[2][-4:]] for row in established]


@pytest.mark.slow
def test_clients_that_send_or_read_slowly_hold_no_thread_and_are_closed(web: WebServer) -> None:
    headers = [web.open("GET / HTTP/1.1\r\nX-Slow: ") for _ in range(20)]
    post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    bodies = [web.open(post) for _ in range(20)]
    readers = [web.open("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(10)]
    readers += [web.open("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(10)]
    drip(headers + bodies, b"x")
    # There are four threads. Others are answered while all of these still wait.
    assert [web.get().status for _ in range(20)] == [200] * 20
    for answer in until_closed(headers + bodies, b"x"):
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"too_slow"' in answer
    for reader in readers:
        wait_until(partial(is_closed_by_peer, reader), 30)
        total = 0
        while part := reader.recv(65_536):
            total += len(part)
        assert total < 30_000_000


@pytest.mark.slow
def test_a_reader_that_stops_is_closed(web: WebServer) -> None:
    """However much it has read before."""
    with web.open("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n") as reader:
        got = 0
        while got < 5 * MB:
            got += len(reader.recv(65_536))
            time.sleep(0.03)
        wait_until(partial(is_closed_by_peer, reader), 20)


@pytest.mark.slow
def test_a_body_that_comes_at_the_lowest_rate_is_taken(web: WebServer) -> None:
    with web.open("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n") as sender:
        for _ in range(8):
            sender.sendall(b"x" * 500)
            time.sleep(0.2)
        status, _, body = answer_on(sender)
    assert (status, told(body)["read"]) == (200, 4000)


def test_slow_links_leave_threads_for_others(web: WebServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = f"/fetch?http://127.0.0.1:{silent.getsockname()[1]}/"
        request = f"GET {link} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        asked = [web.open(request) for _ in range(6)]
        assert [web.get().status for _ in range(20)] == [200] * 20
        # Two are fetched; one of the others waits for a place, in vain.
        answers = []
        while len(answers) < 4:
            ready, _, _ = select.select(asked, [], [])
            answers += [answer_on(connection)[0] for connection in ready]
            asked = [connection for connection in asked if connection not in ready]
        assert answers == [429] * 4
    # The host is gone, so the fetches end, and their places are free.
    for connection in asked:
        connection.close()
    assert web.get("/fetch?http://127.0.0.1:1/").read() == b"fetch_unreachable"


def test_probes_do_not_queue_behind_busy_threads(web: WebServer) -> None:
    paths = ["/sleep?0.7"] * 8 + ["/readyz?0.7"] * 3
    busy = [web.open(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n") for path in paths]
    assert told(web.get("/healthz").read())["PATH_INFO"] == "/healthz"
    for connection in busy:
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.close()


def test_beyond_the_most_connections_the_one_that_waited_longest_gives_way(web: WebServer) -> None:
    waiting = [web.open() for _ in range(110)]
    while not select.select([waiting[0]], [], [], 0.1)[0]:
        assert web.get("/healthz").status == 200
    assert waiting[0].recv(1) == b""
    waiting[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer_on(waiting[-1])[0] == 200
    for connection in waiting:
        connection.close()


def test_an_idle_connection_is_kept_and_then_closed(web: WebServer) -> None:
    with web.open() as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer_on(connection)[0] == 200
        assert connection.recv(1) == b""


def test_requests_behind_each_other_are_answered_in_order(web: WebServer) -> None:
    one = "GET /{} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    with web.open(one.format("a", "") + one.format("b", "Connection: close\r\n")) as connection:
        text = b"".join(iter(lambda: connection.recv(4096), b""))
    assert text.count(b"HTTP/1.1 200") == 2
    assert text.index(b'"/a"') < text.index(b'"/b"')


def test_the_answer_to_head_has_no_body(web: WebServer) -> None:
    for path, length in (("/", None), ("/big", "30000000")):
        head = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with web.open(head + "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as c:
            text = b"".join(iter(lambda: c.recv(4096), b""))
        first, second = text.split(b"HTTP/1.1 200 OK")[1:]
        assert first.endswith(b"\r\n\r\n") and first.count(b"\r\n\r\n") == 1
        assert length is None or f"Content-Length: {length}".encode() in first
        assert b'"GET"' in second


def test_a_chunked_body_is_read(web: WebServer) -> None:
    chunks = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, _, body = web.ask(chunks + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert (status, told(body)["read"], told(body)["CONTENT_LENGTH"]) == (200, 11, "11")


def test_the_client_is_asked_to_continue(web: WebServer) -> None:
    post = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"
    )
    with web.open(post.format(5)) as connection:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert told(answer_on(connection)[2])["read"] == 5
    # A body that is too large is not asked for.
    assert told(web.ask(post.format(5 * MB))[2])["read"] == 0


@pytest.mark.parametrize(
    ("path", "most"),
    [("/", 4 * MB), ("/api/v1/videos/", 10 * MB), ("/api/v1/moderation/lists/", 10 * MB)],
)
def test_a_body_that_is_too_large_is_not_read(web: WebServer, path: str, most: int) -> None:
    """The view gets the request without its body, and refuses it by its length."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
    with web.open(f"{head}Content-Length: {most + 1}\r\n\r\n") as sender:
        _status, headers, body = answer_on(sender)
    assert told(body)["read"] == 0
    assert told(body)["CONTENT_LENGTH"] == str(most + 1)
    assert headers["Connection"] == "close"


def test_a_sender_of_too_much_can_read_the_answer(web: WebServer) -> None:
    for kind in ("Content-Length: 12000000", "Transfer-Encoding: chunked"):
        with web.open(f"POST / HTTP/1.1\r\nHost: localhost\r\n{kind}\r\n\r\n") as sender:
            part = b"x" * MB
            try:
                for _ in range(12):
                    sender.sendall(b"100000\r\n" + part + b"\r\n" if "chunked" in kind else part)
            except ConnectionError:
                pytest.fail("The connection was reset before the answer could be read.")
            status, _, body = answer_on(sender)
        assert (status, told(body)["read"]) == (200, 0)
        assert int(told(body)["CONTENT_LENGTH"]) > 4 * MB


def test_a_large_body_of_a_stranger_is_not_read(web: WebServer) -> None:
    """What a proxy forwards is a stranger's. The view answers it without the body."""
    post = "POST / HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n"
    for header, length, read in (
        ("", 3 * MB, 3 * MB),
        ("Via: 1.1 proxy\r\n", 1000, 1000),
        ("Via: 1.1 proxy\r\n", 3 * MB, 0),
        ("Via: 1.1 proxy\r\nExpect: 100-continue\r\n", 3 * MB, 0),
    ):
        with web.open(post.format(header, length)) as sender:
            sender.sendall(b"x" * length)
            status, headers, body = answer_on(sender)
        assert (status, told(body)["read"]) == (200, read)
        assert (headers.get("Connection") == "close") is (read != length)


def test_large_bodies_at_once_are_bounded(web: WebServer) -> None:
    post = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {3 * MB}\r\n\r\nx"
    with web.open(post):
        assert web.get().status == 200
        status, headers, body = web.ask(post)
        assert (status, headers["Retry-After"], told(body)["code"]) == (429, "30", "busy")
        small = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
        assert web.ask(small)[0] == 200
    with web.open(post + "x" * (3 * MB - 1)) as sender:
        assert told(answer_on(sender)[2])["read"] == 3 * MB


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET / HTTP/1.1\r\nX: " + "a" * 70_000 + "\r\n\r\n", 431),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\nContent-Length: {10**40}\r\n\r\n", 200),
    ],
)
def test_malformed_requests_are_answered(web: WebServer, request_: str, status: int) -> None:
    assert web.ask(request_)[0] == status


def test_headers_of_proxies_reach_the_views_and_lookalikes_do_not(web: WebServer) -> None:
    get = "GET / HTTP/1.1\r\nHost: localhost\r\n{}: 192.0.2.1\r\n\r\n"
    assert told(web.ask(get.format("X-Forwarded-For"))[2])["forwarded"] == "192.0.2.1"
    assert told(web.ask(get.format("X_Forwarded_For"))[2])["forwarded"] is None


def test_a_warning_says_what_is_open(web: WebServer) -> None:
    web.log.seek(0)
    (line,) = [line for line in web.log if "OPEN_API" in line]
    assert " WARNING gunicorn.error: " in line
    assert "127.0.0.0/8" in line
    assert "need no key" in line


@pytest.mark.slow
def test_a_request_under_way_is_answered_when_the_server_stops() -> None:
    server = WebServer()
    with server.open("GET /sleep?1 HTTP/1.1\r\nHost: localhost\r\n\r\n") as asked:
        idle = server.open()
        assert server.get("/healthz").status == 200
        server.process.send_signal(signal.SIGTERM)
        status, _headers, _ = answer_on(asked)
        assert status == 200
    assert server.process.wait(timeout=30) == 0
    idle.close()
