"""Decoded pictures, as a decoder hands them over: plain values and arrays of R, G, B."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np

from gallery.imaging.pixels import Pixels, fitted, working_copy
from gallery.shared.jpeg import Quality, encode_jpeg

Place = Literal["full", "frame", "picture", "thumbnail"]
"""``full`` is the first picture of a file, ``frame`` a later frame or page, ``picture`` another
picture of the file, ``thumbnail`` its embedded preview."""

Rest = Literal["nothing", "others", "all"]
"""What a file shows besides a picture: nothing, maybe other pictures, or also other renderings or
frames of it."""

CELLS: Final = 16
_ALIKE_MEAN, _ALIKE_MAX = 6.0, 40.0
"""Mean and maximum difference of 16 × 16 cells, of 255. A preview of the same picture differs by
less, even if sharpened and compressed; a preview of another picture by more."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Read from the header. ``format``: a key of ``opening.FORMATS``; sizes in pixels as stored."""

    format: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """One way to show a picture.

    Names: ``white`` and ``black`` by the background, ``colour`` without transparency,
    ``unconverted`` without its colour profile, ``inverted`` with the CMYK of a JPEG read inverted.
    """

    name: str
    rgb: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture of a file. Arrays are uint8, height × width × 3 (R, G, B), read-only.

    ``info`` describes the whole file. ``renderings``: as viewers show it, the usual way first; the
    usual one alone from ``decode``. ``legacy_rgb``: as libimgsmlr reads it: not upright, no colour
    profile, transparency over black. ``doubt``: a sentence that says why its colour profile is
    suspicious. ``orientation``: EXIF's, 1 to 8. ``number``: from 0; pictures that are left out are
    counted, too. ``duration_ms``: how long a frame is shown. ``rest``: of the file.
    """

    info: ImageInfo
    renderings: tuple[Rendering, ...]
    legacy_rgb: Pixels
    doubt: str | None
    orientation: int
    place: Place
    number: int
    duration_ms: int | None
    rest: Rest

    @property
    def rgb(self) -> Pixels:
        """As most viewers show it: upright, in sRGB, transparency over white."""
        return self.renderings[0].rgb

    def thumbnail(self, size: int) -> bytes:
        """Return an upright JPEG without metadata, long side ≤ ``size`` pixels, never enlarged."""
        return encode_jpeg(fitted(working_copy(self.rgb), size), Quality.THUMBNAIL)


@dataclass(frozen=True, slots=True, eq=False)
class ReadFile:
    """The bytes of a file, and its first picture as ``decode`` returns it."""

    data: bytes
    picture: Picture


def cells(rgb: Pixels) -> Pixels:
    """Return 16 × 16 means, by which pictures of any sizes are compared at a glance."""
    return np.asarray(cv2.resize(rgb, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.uint8)


def is_any_alike(seen: Iterable[Pixels], other: Pixels) -> bool:
    """Return whether one of the ``cells`` looks the same as the other."""
    for one in seen:
        difference = np.abs(one.astype(np.float32) - other.astype(np.float32))
        if difference.mean() <= _ALIKE_MEAN and difference.max() <= _ALIKE_MAX:
            return True
    return False
