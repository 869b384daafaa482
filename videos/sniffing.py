"""Which container the first bytes of a file claim, and what else it might be.

Names and extensions are never asked: FFmpeg would follow a playlist that is called ``clip.mp4``.
"""

from __future__ import annotations

from typing import Final

from gallery.sniffing import sniff as sniff_picture

HEAD_BYTES: Final = 4096
"""How much of the file's beginning ``sniff`` wants to see."""

ACCEPTED: Final = "MP4, MOV, MKV, WebM, AVI, MPEG-TS or Ogg video, or an animated GIF, WebP or PNG"

ANIMATIONS: Final = frozenset({"gif", "webp", "png"})
"""Read by Pillow; all other containers by FFmpeg."""

_ISO_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_TS_SYNC: Final = 0x47
_OTHERS: Final = {
    b"FLV\x01": "an FLV video",
    b"0&\xb2u\x8ef\xcf\x11": "a Windows Media video",
    b"\0\0\1\xba": "an MPEG programme stream",
    b".RMF": "a RealMedia video",
    b"ID3": "an MP3 recording",
    b"fLaC": "a FLAC recording",
}


def sniff(head: bytes) -> str | None:
    """mp4, mov, mkv, webm, avi, mpegts, ogg, gif, webp or png; None if it is none of these.

    A gif, webp or png may turn out to be a still picture: one frame.
    """
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"OggS"):
        return "ogg"
    if _is_transport_stream(head):
        return "mpegts"
    picture = sniff_picture(head)
    if picture is not None:
        return picture if picture in ANIMATIONS else None
    if head[4:8] in _ISO_BOXES:
        return "mov" if head[8:12] == b"qt  " or head[4:8] != b"ftyp" else "mp4"
    return None


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes, or of 192 with a time code before each (M2TS)."""
    return any(
        len(head) > first + 2 * size
        and all(head[at] == _TS_SYNC for at in range(first, len(head), size))
        for first, size in ((0, 188), (4, 192))
    )


def why_unknown(head: bytes) -> str:
    """A sentence for bytes of no accepted container: what they seem to be and what to do."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "The file is empty (0 bytes); send a video."
    if text.startswith((b"#extm3u", b"ffconcat", b"[playlist]")):
        return "This is a playlist, not a video; send the video file itself."
    if b"<html" in text or text.startswith(b"<!doctype html"):
        return "This is an HTML page, not a video; give the address of the video file itself."
    picture = sniff_picture(head)
    if picture is not None:
        return f"This is a still picture ({picture.upper()}), not a video; add it as an image."
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"This is {name}, which is not read here; convert it to MP4."
    if b"\0" not in head and text.isascii():
        return f"This is text, not a video; send {ACCEPTED}."
    return f"This is not a video in a format that is read here; send {ACCEPTED}."
