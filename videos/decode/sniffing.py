"""Tells the container by the first bytes of a file, or what else the file seems to be.

File names are ignored: FFmpeg would follow a playlist that is called ``clip.mp4``.
"""

from __future__ import annotations

from typing import Final

from gallery.imaging.decoding.sniffing import sniff as sniff_picture
from videos.decode.decoder_protocol import ANIMATIONS

HEAD_BYTES: Final = 4096
"""Bytes of the file's beginning that ``sniff`` needs."""

ACCEPTED: Final = (
    "MP4, MOV, 3GP, MKV, WebM, AVI, WMV, FLV, MPEG (TS or PS) or Ogg video, or an animated GIF, "
    "WebP, PNG, AVIF or HEIC"
)

CONTENT_TYPES: Final = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "mpegts": "video/mp2t",
    "ogg": "video/ogg",
    "asf": "video/x-ms-wmv",
    "flv": "video/x-flv",
    "mpegps": "video/mpeg",
    "heics": "image/heic-sequence",
    "gif": "image/gif",
    "webp": "image/webp",
    "png": "image/png",
    "avif": "image/avif",
}
"""Container → the content type sent to browsers."""

_ISO_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_SEQUENCES: Final = frozenset({b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"})
"""Major brands of animated HEIC; Pillow's reader shows only its first picture."""

_TS_SYNC: Final = 0x47
_TS_PACKETS: Final = (188, 192, 204)
"""Bytes of a packet: plain, with a time code before (M2TS), with a checksum after it."""
_TS_AT_LEAST: Final = 5
"""Least number of packets in a row where the first one is cut off; fewer may be chance."""
_OTHERS: Final = {
    b"\0\0\1\xb3": "a bare MPEG stream without a container",
    b"\0\0\0\1": "a bare H.264 or HEVC stream without a container",
    b".RMF": "a RealMedia video",
    b"FWS": "a Flash animation",
    b"CWS": "a Flash animation",
    b"\x06\x0e+4\x02\x05\x01\x01": "an MXF video",
    b"DKIF": "an IVF video",
    b"ID3": "an MP3 recording",
    b"fLaC": "a FLAC recording",
}


def sniff(head: bytes) -> str | None:
    """Return mp4, mov, mkv, webm, avi, asf, flv, mpegps, mpegts, ogg, heics, gif, webp, png, avif
    or None.

    A gif, webp, png or avif may turn out to be a still picture: one frame.
    """
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"0&\xb2u\x8ef\xcf\x11"):
        return "asf"
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"\0\0\1\xba"):
        return "mpegps"
    if head[4:8] == b"ftyp" and head[8:12] in _SEQUENCES:
        return "heics"
    if _is_transport_stream(head):
        return "mpegts"
    picture = sniff_picture(head)
    if picture is not None:
        return picture if picture in ANIMATIONS else None
    if head[4:8] in _ISO_BOXES:
        return "mov" if head[8:12] == b"qt  " or head[4:8] != b"ftyp" else "mp4"
    return "mpegts" if _is_transport_stream(head, cut=True) else None


def _is_transport_stream(head: bytes, *, cut: bool = False) -> bool:
    """Whether packets begin with the sync byte. ``cut``: the first may lack its beginning."""
    for size in _TS_PACKETS:
        for first in range(size) if cut else ((4,) if size == 192 else (0,)):
            at = range(first, len(head), size)
            if len(at) > (_TS_AT_LEAST if cut else 2) and all(head[n] == _TS_SYNC for n in at):
                return True
    return False


def why_unknown(head: bytes) -> str:
    """Return an error message for an unknown format: what the file seems to be, and what to do."""
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
