"""Whether a file begins as a picture or a video."""

from __future__ import annotations

BEGINNINGS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\0\0\1\0",
    b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"8BPS", b"\x1aE\xdf\xa3", b"OggS", b"FLV\1",
    b"\0\0\1\xba", b"\0\0\1\xb3", b"0&\xb2u\x8ef\xcf\x11",
)  # fmt: skip
ENOUGH = 32


def is_media(head: bytes) -> bool:
    """``head``: at least ``ENOUGH`` bytes, if the file has so many.

    Other files, such as documents and what is encrypted, can only be known by their exact hash.
    """
    return head.startswith(BEGINNINGS) or head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide")
