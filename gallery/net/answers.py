"""A connection that passes over a host's interim answers (100, 102, 103) to the last one."""

from __future__ import annotations

import http.client
import socket
from typing import Final

from urllib3.connection import HTTPConnection

from gallery.net.deadlines import Deadline, DeadlineSocket

MOST_INTERIM: Final = 20


class FinalAnswer(http.client.HTTPResponse):
    """http.client itself passes over 100 alone, and takes "103 Early Hints" for the answer."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MOST_INTERIM):
            answer: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            # 101 changes the protocol: nothing that was asked for, and no answer follows.
            if not 100 <= answer[1] < 200 or answer[1] == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return answer
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("no answer after all these interim ones")


def connection_over(
    sock: socket.socket, host: str, port: int, deadline: Deadline
) -> HTTPConnection:
    """An HTTP connection over a socket that is open already."""
    connection = HTTPConnection(host, port)
    connection.sock = DeadlineSocket(sock, deadline)
    connection.auto_open = 0  # never look the host up a second time
    connection.response_class = FinalAnswer
    return connection
