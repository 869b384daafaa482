"""Opens a file with Pillow and corrects what Pillow gets wrong, before and after."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pillow_heif

# Readers are imported here so that the first picture is not slower.
from PIL import (  # noqa: F401
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from gallery.imaging.decoding import jpeg_pixels
from gallery.imaging.decoding.colour import MAX_PROFILE_BYTES
from gallery.imaging.decoding.containers import boxes, jpeg, jxl, png, tiff
from gallery.imaging.decoding.frames import Frame, orientation_of
from gallery.imaging.decoding.limits import (
    NotAnImage,
    PictureLimits,
    TooLarge,
    TooMuchMemory,
    check_frames,
    check_size,
)
from gallery.imaging.decoding.pictures import ImageInfo
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import UserError

pillow_heif.register_heif_opener()

jxl.register()

# Second line behind ``PictureLimits``: Pillow raises above twice this number.
Image.MAX_IMAGE_PIXELS = 100_000_000

# Pillow warns of faults in files that users send.
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
    "jxl": "JXL",
    "jp2": "JPEG2000",
}
"""Accepted format → the one Pillow reader that may open it."""

_NAMES: Final = {"heic": "HEIC", "jxl": "JPEG XL", "jp2": "JPEG 2000"}
MAX_JPEG_SCANS: Final = 64  # each passes over the whole picture; encoders write some 10 to 20
_MISSING: Final = 0.03
"""Share of a JPEG's pixels that may be missing at its end."""

_PADDINGS: Final = (b"\0" * 512, b"\xa5" * 512)

RAW_MESSAGE: Final = (
    "This is a camera's raw file, of which only a small preview can be read; "
    "export it as JPEG or TIFF."
)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """``indices``: Pillow's indices of the frames, in the order in which they are shown.
    ``end``: where a JPEG's picture ends in ``data``; None for a JPEG without an end and for other
    formats. ``extra_indices``: Pillow's indices of pictures that are no frames. ``facts``: added to
    Pillow's ``info`` of each frame."""

    data: bytes
    image: Image.Image
    info: ImageInfo
    indices: Sequence[int]
    end: int | None = None
    extra_indices: Sequence[int] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def load(self, number: int, limits: PictureLimits) -> Frame:
        """Decode the frame that is shown at position ``number``. Raises NotAnImage, TooLarge."""
        return self.load_at(self.indices[number], limits)

    def load_at(self, index: int, limits: PictureLimits) -> Frame:
        image, info = self.image, self.info
        several = len(self.indices) + len(self.extra_indices) > 1
        with as_not_an_image(info.format, whole=bool(self.facts.get("whole"))):
            if several:
                image.seek(index)
            # A frame or page may be larger than the first one.
            check_size(image.size, limits)
            if info.format == "jpeg" and self.end is None:
                _check_complete(self.data)
            pixels = self._jpeg_pixels()
            if pixels is None:
                image.load()
            # An animation reuses ``image`` for its next frame.
            frame = image.copy() if several else image
            frame.info.update(self.facts)
            if info.format == "tiff":
                frame.info.update(tiff.facts(image))
            if "icc_profile" not in frame.info and (nclx := _nclx(self)):
                frame.info["cicp"] = nclx
        return Frame(frame, info, orientation_of(image), pixels)

    def _jpeg_pixels(self) -> Pixels | None:
        if self.info.format != "jpeg" or self.image.mode != "RGB" or self.end is None:
            return None
        return jpeg_pixels.decode(self.data[: self.end], self.image.size)


def open_file(format: str, data: bytes, limits: PictureLimits) -> OpenedFile:
    """Open a file and check its limits, without decoding. Raises NotAnImage, TooLarge."""
    facts: dict[str, Any] = {}
    content, end = data, None
    if format == "jpeg":
        found = jpeg.read(data)
        if found.scans > MAX_JPEG_SCANS:
            raise TooLarge("The JPEG has too many scans; save it again as a baseline JPEG.")
        end = found.end
        content = data + jpeg.EOI if end is None else data[:end]
    elif format == "png":
        read = png.read(data, MAX_PROFILE_BYTES)
        content, facts = read.data, read.facts
    elif format == "jp2":
        facts["icc_profile"] = boxes.jp2_profile(data)
    elif format == "tiff" and tiff.is_raw(data):
        raise NotAnImage(RAW_MESSAGE, format=format)
    with as_not_an_image(format, whole=bool(facts.get("whole"))):
        image = Image.open(io.BytesIO(content), formats=(FORMATS[format],))
        check_size(image.size, limits)
        count, total = count_frames(format, image, content, limits)
    if format == "jxl" and getattr(image, "is_animated", False):
        raise NotAnImage(
            "Animated JPEG XL is not read; save it as WebP or as a video.", format=format
        )
    check_frames(count, total, limits)
    indices, extra_indices = _order(format, image, count)
    info = ImageInfo(format, image.width, image.height, len(indices))
    return OpenedFile(data, image, info, indices, end, extra_indices, facts)


def count_frames(
    format: str, image: Image.Image, data: bytes, limits: PictureLimits
) -> tuple[int, int]:
    """Return (frames, pixels of all frames); counting may stop above a limit. Raises TooLarge."""
    return _COUNTERS.get(format, _count_stated)(image, data, limits)


@contextmanager
def as_not_an_image(format: str, *, whole: bool = False) -> Iterator[None]:
    """Turn any error of a reader on damaged bytes (struct.error, SyntaxError, …) into NotAnImage.

    ``whole``: the file is known to be complete.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError as exc:
        raise TooMuchMemory from exc
    except Image.DecompressionBombError as exc:
        raise TooLarge("The picture has too many pixels; send a smaller version.") from exc
    except Exception as exc:
        name = _NAMES.get(format, FORMATS[format])
        if "truncated" in str(exc).lower() and not whole:
            message = f"The file is a {name} that ends early; upload it again."
        else:
            message = f"The file begins like a {name} but is damaged; save it again and retry."
        raise NotAnImage(message, format=format) from exc


def _order(format: str, image: Image.Image, count: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return (frames, pictures that are no frames) as Pillow's indices."""
    if format == "heic":  # opened at the primary picture, which need not be the first
        primary = image.tell()
        return [primary, *(index for index in range(count) if index != primary)], ()
    if format == "png" and count > 1 and getattr(image, "default_image", False):
        # The default image: only viewers that do not support animated PNG show it.
        return range(1, count), (0,)
    return range(count), ()


def _nclx(file: OpenedFile) -> tuple[int, int] | None:
    if file.info.format == "avif":
        return boxes.nclx(file.data)
    stated = file.image.info.get("nclx_profile")
    if not isinstance(stated, dict):
        return None
    return stated.get("color_primaries", 2), stated.get("transfer_characteristics", 2)


def _check_complete(data: bytes) -> None:
    """Raise ``ValueError`` if blocks are missing at the end of a JPEG without an end marker.

    Decoders ignore what follows a complete scan, but read it as the rest of a scan that is cut
    off. Two different paddings then give two different pictures.
    """
    seen = []
    for padding in _PADDINGS:
        image = Image.open(io.BytesIO(data.rstrip(b"\xff") + padding + jpeg.EOI), formats=("JPEG",))
        # Half the size shows all but the finest detail of a progressive JPEG.
        image.draft("L", (image.width // 2, image.height // 2))
        try:
            seen.append(np.asarray(image.convert("L")))
        except OSError as error:  # the padding is not valid as the rest of a scan
            raise ValueError("truncated") from error
    if (seen[0] != seen[1]).mean() > _MISSING:
        raise ValueError("truncated")


def _count_stated(image: Image.Image, data: bytes, limits: PictureLimits) -> tuple[int, int]:
    count = getattr(image, "n_frames", 1)
    return count, count * image.width * image.height


def _count_jpeg(image: Image.Image, data: bytes, limits: PictureLimits) -> tuple[int, int]:
    return 1, image.width * image.height  # other pictures that follow in the file are no frames


def _count_tiff_pages(image: Image.Image, data: bytes, limits: PictureLimits) -> tuple[int, int]:
    """Walk the page directories without decoding; stop at the first limit exceeded."""
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


def _count_gif_frames(image: Image.Image, data: bytes, limits: PictureLimits) -> tuple[int, int]:
    """Walk the blocks. Pillow would parse all frames before the limit could be checked."""
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
    check_size((width, height), limits)
    return max(count, 1), max(count, 1) * width * height


_COUNTERS: Final[dict[str, Callable[[Image.Image, bytes, PictureLimits], tuple[int, int]]]] = {
    "jpeg": _count_jpeg,
    "tiff": _count_tiff_pages,
    "gif": _count_gif_frames,
}
