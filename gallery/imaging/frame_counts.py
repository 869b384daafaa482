"""How many frames or pages a file has, without decoding any."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from PIL import Image

from gallery.imaging.picture_limits import Limits, check_size


def count_frames(format: str, image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """(frames, pixels of all); may stop counting beyond the limits. Raises TooLarge."""
    return _COUNTERS.get(format, _count_stated)(image, data, limits)


def _count_stated(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """(frames, pixels of all) for formats whose header states the count."""
    count = getattr(image, "n_frames", 1)
    return count, count * image.width * image.height


def _count_jpeg(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """A JPEG is one picture; others that follow it in the file are no frames of it."""
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
    check_size((width, height), limits)
    return max(count, 1), max(count, 1) * width * height


_COUNTERS: Final[dict[str, Callable[[Image.Image, bytes, Limits], tuple[int, int]]]] = {
    "jpeg": _count_jpeg,
    "tiff": _count_tiff_pages,
    "gif": _count_gif_frames,
}
