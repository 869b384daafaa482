"""A file as Pillow opens it, with what Pillow gets wrong put right before and after."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pillow_heif

# The readers are imported here so that the first picture does not pay for it.
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

from gallery.imaging.colour import MAX_PROFILE_BYTES
from gallery.imaging.containers import (
    boxes,
    jpeg,
    jxl,
    png,
    tiff,
)
from gallery.imaging.frame_counts import count_frames
from gallery.imaging.picture_limits import (
    Limits,
    NotAnImage,
    TooLarge,
    check_frames,
    check_size,
)
from gallery.imaging.pictures import Info, Picture, orientation_of
from gallery.shared.errors import UserError

pillow_heif.register_heif_opener()
jxl.register()
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
    "jxl": "JXL",
    "jp2": "JPEG2000",
}
"""Our name of each accepted format → the one Pillow reader that may open it."""

_NAMES: Final = {"heic": "HEIC", "jxl": "JPEG XL", "jp2": "JPEG 2000"}

MAX_JPEG_SCANS: Final = 64  # each passes over the whole picture; encoders write some 10 to 20

_MISSING: Final = 0.03
"""The share of a JPEG's pixels that may be missing at its end."""

_PADDINGS: Final = (b"\0" * 512, b"\xa5" * 512)

RAW: Final = (
    "This is a camera's raw file, of which only a small preview could be read; "
    "export it as JPEG or TIFF."
)


@dataclass(frozen=True, slots=True)
class File:
    """``indices``: where Pillow has each frame, in the order in which they are shown.

    ``end``: of a JPEG's picture in ``data``; None in a JPEG without an end and in other formats.
    ``aside``: Pillow's indices of pictures that are no frames.
    """

    data: bytes
    image: Image.Image
    info: Info
    indices: Sequence[int]
    end: int | None = None
    aside: Sequence[int] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def load(self, number: int, limits: Limits) -> Picture:
        """Decode a frame by its place. Raises NotAnImage, TooLarge."""
        return self.load_at(self.indices[number], limits)

    def load_at(self, index: int, limits: Limits) -> Picture:
        """The same by Pillow's index."""
        image, info = self.image, self.info
        several = len(self.indices) + len(self.aside) > 1
        with as_not_an_image(info.format, whole=bool(self.facts.get("whole"))):
            if several:
                image.seek(index)
            # A frame or page may be larger than the first one.
            check_size(image.size, limits)
            if info.format == "jpeg" and self.end is None:
                _check_complete(self.data)
            image.load()
            # An animation reuses ``image`` for its next frame.
            frame = image.copy() if several else image
            frame.info.update(self.facts)
            if info.format == "tiff":
                frame.info.update(tiff.facts(image))
            if "icc_profile" not in frame.info and (nclx := _nclx(self)):
                frame.info["cicp"] = nclx
        return Picture(frame, info, orientation_of(image))


def open_file(format: str, data: bytes, limits: Limits) -> File:
    """Nothing is decoded yet, and all is within the limits. Raises NotAnImage, TooLarge."""
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
        raise NotAnImage(RAW, format=format)
    with as_not_an_image(format, whole=bool(facts.get("whole"))):
        image = Image.open(io.BytesIO(content), formats=(FORMATS[format],))
        check_size(image.size, limits)
        count, total = count_frames(format, image, content, limits)
    if format == "jxl" and getattr(image, "is_animated", False):
        raise NotAnImage(
            "Animated JPEG XL is not read; save it as WebP or as a video.", format=format
        )
    check_frames(count, total, limits)
    indices, aside = _order(format, image, count)
    info = Info(format, image.width, image.height, len(indices))
    return File(data, image, info, indices, end, aside, facts)


def _order(format: str, image: Image.Image, count: int) -> tuple[Sequence[int], Sequence[int]]:
    """(frames, pictures that are none), in Pillow's numbers."""
    if format == "heic":  # opened at the primary picture, which need not be the first
        primary = image.tell()
        return [primary, *(index for index in range(count) if index != primary)], ()
    if format == "png" and count > 1 and getattr(image, "default_image", False):
        # Shown only by those who know no animated PNG.
        return range(1, count), (0,)
    return range(count), ()


def _nclx(file: File) -> tuple[int, int] | None:
    if file.info.format == "avif":
        return boxes.nclx(file.data)
    stated = file.image.info.get("nclx_profile")
    if not isinstance(stated, dict):
        return None
    return stated.get("color_primaries", 2), stated.get("transfer_characteristics", 2)


def _check_complete(data: bytes) -> None:
    """Raises ``ValueError`` where blocks are missing at the end of a JPEG that has no end.

    What follows a whole scan is passed over. Where a scan is cut off, it is taken for the rest of
    it, and so two different continuations make two different pictures.
    """
    seen = []
    for padding in _PADDINGS:
        image = Image.open(io.BytesIO(data.rstrip(b"\xff") + padding + jpeg.EOI), formats=("JPEG",))
        # Half the size shows all but the last touch of a progressive one.
        image.draft("L", (image.width // 2, image.height // 2))
        try:
            seen.append(np.asarray(image.convert("L")))
        except OSError as error:  # the padding makes no sense as the rest of a scan
            raise ValueError("truncated") from error
    if (seen[0] != seen[1]).mean() > _MISSING:
        raise ValueError("truncated")


@contextmanager
def as_not_an_image(format: str, *, whole: bool = False) -> Iterator[None]:
    """Readers raise nearly anything on damaged bytes (struct.error, SyntaxError, zlib.error, …).

    ``whole``: the file is known to have its end.
    """
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError as exc:
        raise TooLarge("The picture has too many pixels; send a smaller version.") from exc
    except Exception as exc:
        name = _NAMES.get(format, FORMATS[format])
        if "truncated" in str(exc).lower() and not whole:
            message = f"The file is a {name} that ends early; upload it again."
        else:
            message = f"The file begins like a {name} but is damaged; save it again and retry."
        raise NotAnImage(message, format=format) from exc
