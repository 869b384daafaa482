"""Estimates the memory for decoding a file, from its headers: all that is there at the peak."""

from __future__ import annotations

from typing import Final

from gallery.imaging.decoding.decoder_protocol import Wanted
from gallery.imaging.decoding.opening import OpenedFile

_PLAIN: Final = 20
_TRANSPARENT: Final = 30
_NUMBERS: Final = 52
"""Bytes a pixel: the reader's own memory, Pillow's image (4), the arrays (3 each) and what is
needed to compute them; of 32-bit numbers as doubles. ``tests`` measure them."""

_HANDED_OVER: Final = 6
"""Bytes a pixel of each array, while the decoder's copy is read by the service."""


def needed(file: OpenedFile, wanted: Wanted) -> int:
    """Return the memory that decoding needs, in bytes."""
    info, image = file.info, file.image
    several = info.frames > 1
    has_no_palette = image.mode == "P" and image.palette is None  # a damaged file; Pillow raises
    if several or (not has_no_palette and image.has_transparency_data):
        own, arrays = _TRANSPARENT, 2 if wanted == "first" else 4
    else:
        own, arrays = _NUMBERS if image.mode in ("I", "F") else _PLAIN, 2
    if several:  # the frame before, too
        own *= 2
    return info.width * info.height * (own + arrays * _HANDED_OVER)
