"""Decoders that cannot start, as after a broken upgrade of a library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from gallery.imaging.decoding import decoders
from gallery.shared import fork_server


@contextmanager
def broken_decoders(directory: Path, module: str = "cv2") -> Iterator[None]:
    """``module``: what they cannot import; ``gallery`` ends the server that forks them, too."""
    (directory / module).mkdir()
    (directory / module / "__init__.py").write_text("raise ImportError('broken')")
    root = fork_server._ROOT
    with mock.patch.object(fork_server, "_ROOT", f"{directory}:{root}"):
        _end_all()
        yield
    _end_all()


def _end_all() -> None:
    """So that the next ones start anew."""
    while decoders._pool._idle:
        decoders._pool._idle.pop().end()
    server = fork_server._server._process
    if server is not None:
        server.kill()
        server.wait()
