"""Tells the picture format by the first bytes of a file, or what else the file seems to be."""

from __future__ import annotations

from typing import Final

from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, check_bytes

ACCEPTED: Final = "JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF, HEIC, JPEG XL or JPEG 2000"
_BMP_HEADER_SIZES: Final = frozenset(
    size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)
)
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"})
_RAW_HEADS: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
"""Raw files of Fujifilm, Olympus, Panasonic, Sigma and Minolta. Other makers use TIFF."""


def sniff(data: bytes) -> str | None:
    """Return the format that the magic bytes claim: jpeg, png, gif, webp, tiff, bmp, avif, heic,
    jxl, jp2 or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    # Texts may begin with "BM" as well; the size of the second header tells them apart.
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADER_SIZES:
        return "bmp"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a")):
        return "jxl"
    if data.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \x0d\x0a\x87\x0a")):
        return "jp2"
    if data[4:8] == b"ftyp":
        return _sniff_ftyp(data)
    return None


def accepted_format(data: bytes, limits: PictureLimits) -> str:
    """Return what ``sniff`` returns. Raises TooLarge for too many bytes, NotAnImage for None."""
    check_bytes(data, limits)
    format = sniff(data)
    if format is None:
        raise NotAnImage(why_unknown(data))
    return format


def _sniff_ftyp(data: bytes) -> str | None:
    """Read the brands of an ISO file: the major one, and the compatible ones from byte 16."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return "avif"
    if brands & _HEIC_BRANDS or data[8:12] in (b"mif1", b"msf1"):
        return "heic"
    return None


def why_unknown(data: bytes) -> str:
    """Return an error message for an unknown format: what the file seems to be, and what to do."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        return "The file is empty (0 bytes); send a picture."
    if b"<svg" in head:
        return "This is an SVG drawing, not a picture; export it as PNG."
    if b"<html" in head or head.startswith(b"<!doctype html"):
        return "This is an HTML page, not a picture; give the address of the picture itself."
    if data.startswith(_RAW_HEADS) or data[4:12] == b"ftypcrx ":
        return "This is a camera's raw file; export it as JPEG or TIFF."
    if data[4:8] == b"ftyp" or data.startswith(b"\x1a\x45\xdf\xa3"):
        return "This is a video, not a picture; add it as a video."
    if b"\0" not in data[:1024] and head.isascii():
        return f"This is text, not a picture; send {ACCEPTED}."
    return f"This is not a picture in a format that is read here; send {ACCEPTED}."
