"""One wall-clock limit over many socket operations.

A plain socket timeout starts anew with each byte, so a server that drips holds its client for ever.
"""

from __future__ import annotations

import io
import socket
import time


class Deadline:
    """A point in time that every operation has to respect."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, more than 0; raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left


class DeadlineSocket:
    """What http.client asks of a socket; each operation gets the time that is left.

    ``close`` and ``settimeout`` do nothing: http.client closes while the body is still to be read,
    so the owner of the socket closes it, and the deadline is the only timeout.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.remaining())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline), 65_536)

    def settimeout(self, seconds: float | None) -> None: ...

    def close(self) -> None: ...


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv_into(buffer)
