"""Read a file: its first bytes, its lines, and records with a size limit."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, Final

from gallery.shared.errors import UserError

HEAD_BYTES: Final = 65_536
CHUNK_BYTES: Final = 65_536
LINE_CHARACTERS: Final = 65_536
NESTING: Final = 32
RECORD_BYTES: Final = 4 * 1024 * 1024

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class BrokenFile(ValueError):
    """Nothing can be read from here on. The message says why."""


def decoded_head(head: bytes) -> tuple[str, bytes, str]:
    """Return the text of the first bytes, the byte order mark (b"" if none) and the encoding.

    Bytes that are invalid in the encoding become �. A character that is cut at the end is dropped.
    """
    # Without a byte order mark, detect UTF-16 by the zero bytes in its first letters.
    for zeros, name in (((1, 3), "utf-16-le"), ((0, 2), "utf-16-be")):
        letters = [byte for at, byte in enumerate(head[:4]) if at not in zeros]
        if len(letters) == 2 and all(letters) and not any(head[at] for at in zeros):
            return (
                codecs.getincrementaldecoder(name)("replace").decode(head[:HEAD_BYTES]),
                b"",
                name,
            )
    marked = [(mark, name) for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)]
    mark, encoding = marked[0] if marked else (b"", "utf-8")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return decoder.decode(head[len(mark) : HEAD_BYTES]), mark, encoding


class Source:
    """A seekable binary stream that is read once, from its current position.

    ``head``: the text of its first 64 KiB. Parsers call ``read``, and ``next_record`` after each
    record. So a record that never ends takes only RECORD_BYTES of memory, not the size of the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        start = stream.tell()
        self._stream = stream
        self.head, mark, self.encoding = decoded_head(stream.read(HEAD_BYTES))
        stream.seek(start + len(mark))
        self._since_record = 0

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """Return the next bytes. Raises BrokenFile if one record has too many."""
        data = self._stream.read(size)
        self._since_record += len(data)
        if self._since_record > RECORD_BYTES:
            raise BrokenFile(f"one record is longer than {RECORD_BYTES // 2**20} MiB")
        return data

    def next_record(self) -> None:
        """Start a new record: reset the count of its bytes."""
        self._since_record = 0

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number, from 1, and the text of each line, cut to LINE_CHARACTERS + 1.

        Bytes that are invalid in the encoding become \\xNN.
        """
        decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder(self.encoding)("backslashreplace"), translate=True
        )
        number, pending = 1, ""
        while True:
            chunk = self._stream.read(CHUNK_BYTES)
            *complete, pending = (pending + decoder.decode(chunk, final=not chunk)).split("\n")
            for line in complete:
                yield number, line[: LINE_CHARACTERS + 1]
                number += 1
            pending = pending[: LINE_CHARACTERS + 1]
            if not chunk:
                break
        if pending:
            yield number, pending


class UnknownFormat(UserError):
    code = "unknown_format"


class WrongFormat(UserError):
    code = "wrong_format"
