"""Bytes → pictures, for bytes that a stranger may have made to hurt us.

The magic bytes choose one Pillow reader and no other is tried. Sizes are judged from the header,
before a pixel is decoded. Whatever a reader raises on a damaged file becomes ``NotAnImage``.
A decoder can still burn time within the limits, so the process that calls it needs a time and a
memory limit of its own.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

import pillow_heif

# The readers are imported here so that the first picture does not pay for it.
from PIL import (  # noqa: F401
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from gallery.errors import UserError
from gallery.pictures import Info, Picture, orientation_of
from gallery.sniffing import sniff, why_unknown

pillow_heif.register_heif_opener()
# Second line behind ``Limits``: Pillow raises above twice this number.
Image.MAX_IMAGE_PIXELS = 100_000_000
# What Pillow warns of is a stranger's file, and no one here can mend that.
warnings.filterwarnings("ignore", module=r"PIL\.")

FORMATS: Final = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "webp": "WEBP",
    "bmp": "BMP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "heic": "HEIF",
}
"""Our name of each accepted format → the one Pillow reader that may open it."""

MAX_SIDE: Final = 65_535  # JPEG's own limit; Pillow's BMP reader allocates up to 255 rows at once.
MAX_JPEG_SCANS: Final = 64  # each passes over the whole picture; encoders write some 10 to 20

_TOO_SHORT_MS: Final = 10
_USUAL_MS: Final = 100


class NotAnImage(UserError):
    """The bytes are no picture, or a damaged one; ``format`` is what the magic bytes claim."""

    code = "not_an_image"

    def __init__(self, message: str, *, format: str | None = None) -> None:
        super().__init__(message)
        self.format = format


class TooLarge(UserError):
    """The picture is beyond a limit (bytes, pixels, frames)."""

    code = "image_too_large"


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be decoded: bytes of the file, pixels of a frame, frames, pixels of all frames."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_frames: int = 5_000
    max_total_pixels: int = 512_000_000


def inspect(data: bytes, limits: Limits) -> Info:
    """Format, size and frame count from the headers alone; raises NotAnImage, TooLarge."""
    return _open(data, limits)[1]


def decode(data: bytes, limits: Limits) -> Picture:
    """The first frame, fully decoded; a file that ends early is an error.

    Raises NotAnImage, TooLarge.
    """
    image, info = _open(data, limits)
    return _load(image, info)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that some viewer shows of a file.

    ``place``: ``full`` the first, ``frame`` a later frame or page, ``picture`` another picture of
    the file, ``thumbnail`` its embedded preview. ``number``: its place among all of them, from 0;
    equal frames count, too. ``duration_ms``: how long a frame is on the screen.
    """

    picture: Picture
    place: Literal["full", "frame", "picture", "thumbnail"]
    number: int
    duration_ms: int | None = None


def shown(data: bytes, limits: Limits, *, first: Picture | None = None) -> Iterator[Shown]:
    """All that viewers show of a file, first the primary picture: every frame or page that differs
    from the one before it, further pictures, and the embedded thumbnail if it shows anything else.

    ``first``: the primary picture, if it is decoded already. Raises NotAnImage, TooLarge, also midway.
    """
    image, info = _open(data, limits)
    pending: Shown | None = None
    for index in range(info.frames):
        picture = _seek(image, info, limits, index) if index or first is None else first
        duration = _duration(image) if info.frames > 1 else None
        if pending is not None and pending.picture.looks_like(picture):
            both = (pending.duration_ms or 0) + (duration or 0)
            pending = replace(pending, duration_ms=both or None)
            continue
        if pending is not None:
            yield pending
        pending = Shown(picture, "frame" if index else "full", index, duration)
    assert pending is not None  # no format has a file without frames
    yield pending


def _duration(image: Image.Image) -> int | None:
    """How long a frame is shown; browsers make 100 ms of 10 and less. None for pages."""
    stated = image.info.get("duration")
    if not isinstance(stated, int | float):
        return None
    return round(stated) if stated > _TOO_SHORT_MS else _USUAL_MS


def frames(data: bytes, limits: Limits) -> Iterator[Picture]:
    """The pictures of ``shown``. Raises NotAnImage, TooLarge, also midway."""
    yield from (one.picture for one in shown(data, limits))


def numbered_frames(data: bytes, limits: Limits) -> Iterator[tuple[int, Picture]]:
    """The same, each with its number."""
    yield from ((one.number, one.picture) for one in shown(data, limits))


def appended_video(data: bytes) -> bytes | None:
    """The clip of a motion photo: an MP4 behind the picture; None if there is none."""
    at = data.find(b"ftyp", len(data) and 12) if data.startswith(b"\xff\xd8\xff") else -1
    return data[at - 4 :] if at > 0 else None


def _seek(image: Image.Image, info: Info, limits: Limits, index: int) -> Picture:
    with _as_not_an_image(info.format):
        if info.frames > 1:
            image.seek(index)
    # A frame or page may be larger than the first one.
    _check_size(image.size, limits)
    return _load(image, info)


def _open(data: bytes, limits: Limits) -> tuple[Image.Image, Info]:
    """The picture with nothing decoded yet, within all limits."""
    if len(data) > limits.max_bytes:
        raise TooLarge(
            f"The file has {len(data):,} bytes, more than the {limits.max_bytes:,} accepted; "
            "send a smaller version."
        )
    format = sniff(data)
    if format is None:
        raise NotAnImage(why_unknown(data))
    with _as_not_an_image(format):
        image = Image.open(io.BytesIO(data), formats=(FORMATS[format],))
        _check_size(image.size, limits)
        count, total = _FRAME_COUNTERS.get(format, _count_frames)(image, data, limits)
    if count > limits.max_frames or total > limits.max_total_pixels:
        raise TooLarge(
            f"The file has more than {limits.max_frames:,} frames or pages, or more than "
            f"{limits.max_total_pixels:,} pixels in all; send a shorter or smaller version."
        )
    if format == "jpeg" and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise TooLarge("The JPEG has too many scans; save it again as a baseline JPEG.")
    return image, Info(format, image.width, image.height, count)


def _load(image: Image.Image, info: Info) -> Picture:
    with _as_not_an_image(info.format):
        image.load()
        # An animation reuses ``image`` for its next frame.
        frame = image.copy() if info.frames > 1 else image
    return Picture(frame, info, orientation_of(image))


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels or max(size) > MAX_SIDE:
        raise TooLarge(
            f"The picture has {width:,} × {height:,} pixels; at most {limits.max_pixels:,} pixels "
            f"and {MAX_SIDE:,} a side are accepted. Send a smaller version."
        )


def _count_frames(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """(frames, pixels of all) for formats whose header states the count."""
    count = getattr(image, "n_frames", 1)
    return count, count * image.width * image.height


def _count_jpeg(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """A JPEG is one picture: what MPO files append (depth, gain map, other eye) no viewer shows."""
    return 1, image.width * image.height


def _count_tiff_pages(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """Walks the page directories, which decodes nothing; stops at the first limit passed."""
    count = total = 0
    while count <= limits.max_frames and total <= limits.max_total_pixels:
        try:
            image.seek(count)
        except EOFError:
            break
        count += 1
        total += image.width * image.height
    image.seek(0)
    return count, total


def _count_gif_frames(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """Walks the blocks: Pillow would parse all frames, however many, before we could object."""
    count, at = 0, 13
    width, height = image.size
    if data[10] & 0x80:
        at += 3 << ((data[10] & 7) + 1)
    while at < len(data) and count <= limits.max_frames:
        kind = data[at]
        at += 1
        if kind == 0x3B:  # trailer
            break
        if kind == 0x21:  # extension: one byte names it
            at += 1
        elif kind == 0x2C:  # image: 9 bytes of descriptor, its own palette, the LZW code size
            if at + 9 > len(data):
                break
            left, top, frame_width, frame_height = struct.unpack_from("<4H", data, at)
            # Pillow enlarges the canvas for a frame that reaches beyond it.
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            packed = data[at + 8]
            at += 10 + ((3 << ((packed & 7) + 1)) if packed & 0x80 else 0)
            count += 1
        else:
            continue
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    _check_size((width, height), limits)
    return max(count, 1), max(count, 1) * width * height


_FRAME_COUNTERS: Final[dict[str, Callable[[Image.Image, bytes, Limits], tuple[int, int]]]] = {
    "jpeg": _count_jpeg,
    "tiff": _count_tiff_pages,
    "gif": _count_gif_frames,
}


@contextmanager
def _as_not_an_image(format: str) -> Iterator[None]:
    """Readers raise nearly anything on damaged bytes (struct.error, SyntaxError, zlib.error, …)."""
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError as exc:
        raise TooLarge("The picture has too many pixels; send a smaller version.") from exc
    except Exception as exc:
        name = "HEIC" if format == "heic" else FORMATS[format]
        if "truncated" in str(exc).lower():
            message = f"The file is a {name} that ends early; upload it again."
        else:
            message = f"The file begins like a {name} but is damaged; save it again and retry."
        raise NotAnImage(message, format=format) from exc
