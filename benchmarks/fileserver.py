"""Serves pictures from memory over HTTP, in its own process.

It does as little as possible: the service is measured, and on a small machine this server shares
its cores.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection


class _Protocol(asyncio.Protocol):
    """``GET /<number>.jpg`` → the picture. It closes the connection after each answer."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.request = b""

    def data_received(self, data: bytes) -> None:
        self.request += data
        if b"\r\n\r\n" in self.request:
            path = self.request.split(b" ", 2)[1]
            self.transport.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\n\r\n"))
            self.transport.close()


def _serve(pictures: Sequence[bytes], pipe: Connection) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
    answers = {
        f"/{number}.jpg".encode(): head.format(len(picture)).encode() + picture
        for number, picture in enumerate(pictures)
    }

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Protocol(answers), "127.0.0.1", 0, backlog=256)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def serving(pictures: Sequence[bytes]) -> Iterator[list[str]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(pictures, theirs), daemon=True)
    process.start()
    try:
        port = ours.recv()
        yield [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(len(pictures))]
    finally:
        process.terminate()
        process.join()
