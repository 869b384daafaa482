"""HTTP responses with stored files, whole or in ranges. The caller has checked access."""

from __future__ import annotations

import io
import re
from typing import BinaryIO, Final, cast

from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase

from gallery.items.media_responses import gone
from gallery.shared.responses import private
from videos.models import Video

RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
"""One range: players do not request several at once."""


def named(name: str | None) -> str:
    """Return the name of a stored file. Raises ``NotFound`` if there is none."""
    if not name:
        raise gone(Video)
    return name


def ranged(request: HttpRequest, name: str | None, content_type: str) -> HttpResponseBase:
    """Return a stored file, or the requested part of it (RFC 9110, 14). Raises ``NotFound``."""
    try:
        size = default_storage.size(named(name))
    except FileNotFoundError:
        raise gone(Video) from None
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    # Responses carry no validator, so the condition of If-Range never holds.
    part = None if "If-Range" in request.headers or asked is None else _part(asked, size)
    if part is not None and part[0] >= part[1]:
        unsatisfied = HttpResponse(status=416)
        unsatisfied["Content-Range"] = f"bytes */{size}"
        return private(unsatisfied)
    start, stop = part or (0, size)
    # As a file, not in chunks: the server then sends it without a thread (web_worker).
    response = FileResponse(
        FilePart(cast(BinaryIO, default_storage.open(named(name))), start, stop),
        content_type=content_type,
        status=206 if part else 200,
    )
    response["Accept-Ranges"] = "bytes"
    if part:
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return private(response)


def _part(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last, None for no valid range.

    An empty span means that the range cannot be satisfied.
    """
    first, last = asked.groups()
    if first == last == "":
        return None
    if first == "":
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


class FilePart(io.RawIOBase):
    """The bytes from ``start`` to before ``stop`` of an open file, as a file of their own."""

    def __init__(self, stream: BinaryIO, start: int, stop: int) -> None:
        self.stream, self.start, self.stop = stream, start, stop
        stream.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

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
