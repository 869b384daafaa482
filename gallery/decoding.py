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
from dataclasses import dataclass
from typing import Final

import numpy as np
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
from gallery.pictures import Info, Picture, Pixels, orientation_of
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
MAX_SAMPLED_FRAMES: Final = 64


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


def frames(data: bytes, limits: Limits) -> Iterator[Picture]:
    """Up to 64 distinct frames (animation) or pages, spread evenly over all; always the first.

    A frame equal to the one before it is skipped before the choice is made, so that neither still
    stretches nor padding push out what is shown briefly. Raises NotAnImage, TooLarge, also midway.
    """
    yield from (picture for _, picture in numbered_frames(data, limits))


def numbered_frames(data: bytes, limits: Limits) -> Iterator[tuple[int, Picture]]:
    """The same, each with its place in the file, from 0."""
    image, info = _open(data, limits)
    if info.frames <= MAX_SAMPLED_FRAMES:
        yield from _distinct(image, info, limits)
        return
    starts = [index for index, _ in _distinct(image, info, limits)]
    chosen = np.linspace(0, len(starts) - 1, min(len(starts), MAX_SAMPLED_FRAMES)).round()
    for index in (starts[int(at)] for at in chosen):
        yield index, _seek(image, info, limits, index)


def _distinct(image: Image.Image, info: Info, limits: Limits) -> Iterator[tuple[int, Picture]]:
    """(index, frame) of each frame that differs from the one before it."""
    previous: Pixels | None = None
    for index in range(info.frames):
        picture = _seek(image, info, limits, index)
        if previous is None or not np.array_equal(picture.rgb, previous):
            yield index, picture
        previous = picture.rgb


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
        if image.mode == "LAB":
            raise NotAnImage("The Lab colour space is not read; save as RGB.", format=info.format)
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
