"""Reads files made to exhaust memory; run as a program, prints a JSON report.

`{"peak_mib": …, "cases": [[what was read, how it ended], …]}`. The peak is that of the whole
process, which is why it is one of its own.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

from gallery.shared.errors import UserError
from moderation.lists.formats.reading import read_rows
from moderation.lists.formats.rows import InvalidRow

SIZE = 12_000_000
CASES = (
    (b'{"hashRecords":[', b"["),
    (b'{"hashRecords":[', b'{"a":'),
    (b'{"hashRecords":0,"x":', b"["),
    (b'{"hashRecords":[{"a":"', b"x"),
    (b'{"hashRecords":[{"a":"', b'\\"'),
    (b'{"hashRecords":[{"a":[', b'"",'),
    (b'{"hashRecords":[', b"1,"),
    (b'{"hashRecords":0,"a":"', b"\\u0022"),
    (b"<queryResult>", b"<a>"),
    (b"<queryResult><images>", b"<a/>"),
    (b"<queryResult><image><id>", b"x"),
    (b'<queryResult><image a="', b"x"),
    (b"md5,note\n", b"x"),
    (b"md5 00112233445566778899aabbccddeeff\nmd5 ", b"x"),
)


class Endless(io.RawIOBase):
    """`head`, then `pattern` for SIZE bytes, without holding them."""

    def __init__(self, head: bytes, pattern: bytes) -> None:
        self._head, self._pattern, self._at = head, pattern, 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        start, self._at = self._at, min(self._at + size, len(self._head) + SIZE)
        head = self._head[start : self._at]
        skip = max(start - len(self._head), 0) % len(self._pattern)
        rest = self._at - start - len(head)
        return head + (self._pattern * (rest // len(self._pattern) + 2))[skip : skip + rest]


def outcome(head: bytes, pattern: bytes) -> str:
    """The refusal, or the reason of the last row."""
    reason = "no row"
    try:
        for row in read_rows(Endless(head, pattern), now=datetime.now(UTC)):  # type: ignore[arg-type]
            reason = row.reason if isinstance(row, InvalidRow) else "a row"
    except UserError as refusal:
        return refusal.message
    return reason


def peak_mib() -> int:
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) // 1024


if __name__ == "__main__":
    cases = [[repr(case), outcome(*case)] for case in CASES]
    print(json.dumps({"peak_mib": peak_mib(), "cases": cases}))
