"""``python -m tests.commit_relay HERE SERVER``: a way to PostgreSQL that loses an answer.

Connects one client at the socket HERE with the server at the socket SERVER, until the server has
answered a COMMIT. A process of its own, as a thread would wait for the client's thread.
"""

from __future__ import annotations

import select
import socket
import sys

SECONDS = 30


def main(here: str, server: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(here)
        listening.listen()
        print(flush=True)
        listening.settimeout(SECONDS)
        client, _ = listening.accept()
    with client, socket.socket(socket.AF_UNIX) as upstream:
        upstream.connect(server)
        committed = False
        while ready := select.select([client, upstream], [], [], SECONDS)[0]:
            data = ready[0].recv(1 << 20)
            if not data or (committed and ready[0] is upstream):
                return
            committed = committed or (ready[0] is client and b"COMMIT" in data)
            (upstream if ready[0] is client else client).sendall(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
