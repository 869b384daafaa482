"""HTTP responses with an open file, whole or a part of it. The caller has checked access."""

from __future__ import annotations

import io
from typing import BinaryIO

from django.http import FileResponse

from gallery.shared.responses import private


def file_response(
    stream: BinaryIO, content_type: str, start: int = 0, stop: int | None = None
) -> FileResponse:
    """Return the bytes from ``start`` to before ``stop``, or to the end."""
    part = FilePart(stream, start, size_of(stream) if stop is None else stop)
    response = FileResponse(part, content_type=content_type)
    response["Content-Length"] = str(part.stop - part.start)
    return private(response)


def size_of(stream: BinaryIO) -> int:
    at = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(at)
    return size


def is_on_disk(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True


class FilePart(io.RawIOBase):
    """The bytes from ``start`` to before ``stop`` of an open file, as a file of their own.

    The web server sends what can be sought in its main thread, which serves all connections. So a
    file of another host cannot be sought: a thread reads it (``web_worker``).
    """

    def __init__(self, stream: BinaryIO, start: int, stop: int) -> None:
        self.stream, self.start, self.stop = stream, start, stop
        stream.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return is_on_disk(self.stream)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self.start, io.SEEK_CUR: self.stream.tell(), io.SEEK_END: self.stop}
        return self.stream.seek(base[whence] + offset) - self.start

    def tell(self) -> int:
        return self.stream.tell() - self.start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.stream.read(min(len(buffer), self.stop - self.stream.tell()))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.stream.close()
        super().close()
