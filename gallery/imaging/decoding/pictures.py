"""One decoded frame as arrays of R, G, B, whatever mode it was stored in.

Viewers differ in the background of transparent pixels and in whether they apply colour profiles.
``Picture.rgb`` is what most viewers show, ``Picture.renderings`` all that some viewer may show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from gallery.imaging.decoding.colour import as_rgb, stored
from gallery.imaging.decoding.layers import Layers, blend, layers_of, stretched
from gallery.imaging.pixels import Pixels, fitted_size
from gallery.shared.jpeg import Quality, encode_jpeg

_CELLS: Final = 16
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


@dataclass(frozen=True, slots=True)
class Rendering:
    """One way to show a picture.

    Names: ``white`` and ``black`` by the background, ``colour`` without transparency,
    ``unconverted`` without its colour profile, ``inverted`` with the CMYK of a JPEG read inverted.
    """

    name: str
    rgb: Pixels


class Picture:
    """One decoded frame. Arrays are uint8, height × width × 3 (R, G, B), read-only.

    Arrays are computed on first use and cached. ``info`` describes the whole file.
    """

    def __init__(self, image: Image.Image, info: ImageInfo, orientation: int) -> None:
        self.info = info
        self._image = image
        self._orientation = orientation
        self._legacy_rgb: Pixels | None = None
        self._rgb: Pixels | None = None
        self._layers: Layers | None = None

    @property
    def legacy_rgb(self) -> Pixels:
        """As libimgsmlr reads it: not upright, no colour profile, transparency over black."""
        if self._legacy_rgb is None:
            image = self._image
            self._legacy_rgb = _flatten(
                stored(image) if image.mode == "LAB" else image, _over_black
            )
        return self._legacy_rgb

    @property
    def rgb(self) -> Pixels:
        """As most viewers show it: upright, in sRGB, transparency over white."""
        if self._rgb is None:
            self._rgb = self._upright(self._over(255))
        return self._rgb

    @property
    def doubt(self) -> str | None:
        """A sentence that says why its colour profile is suspicious; None if it is not."""
        return self._read().colour.doubt

    def renderings(self) -> list[Rendering]:
        """Return all distinct ways in which a viewer may show it; the first is ``rgb``."""
        layers = self._read()
        found = [Rendering("white", self.rgb)]
        if layers.alpha is not None:
            found += [
                Rendering("black", self._upright(self._over(0))),
                Rendering("colour", self._upright(self._colours())),
            ]
        if layers.colour.far or layers.colour.doubt:
            plain = blend(as_rgb(stored(layers.image)), layers.alpha, 255)
            found.append(Rendering("unconverted", self._upright(plain)))
        if (
            self.info.format == "jpeg"
            and layers.image.mode == "CMYK"
            and "adobe" not in self._image.info
        ):
            found.append(Rendering("inverted", self._upright(_inverted(layers))))
        return _distinct(found)

    def is_identical_to(self, other: Picture) -> bool:
        """Return whether all renderings of the two are equal, pixel by pixel."""
        if not np.array_equal(self.rgb, other.rgb):
            return False
        mine, theirs = self._read(), other._read()
        if mine.alpha is None and theirs.alpha is None:
            return True
        return len(self.renderings()) == len(other.renderings()) and all(
            np.array_equal(a.rgb, b.rgb)
            for a, b in zip(self.renderings(), other.renderings(), strict=True)
        )

    def is_similar_to(self, other: Picture) -> bool:
        """Return whether the two look the same at a glance, whatever their sizes."""
        mine, theirs = (_cells(one.rgb) for one in (self, other))
        difference = np.abs(mine - theirs)
        return bool(difference.mean() <= _ALIKE_MEAN and difference.max() <= _ALIKE_MAX)

    def with_orientation_of(self, other: Picture) -> Picture:
        return Picture(self._image, self.info, other._orientation)

    def header_value(self, name: str) -> object:
        return self._image.info.get(name)

    def _read(self) -> Layers:
        if self._layers is None:
            self._layers = layers_of(self._image)
        return self._layers

    def _over(self, behind: int) -> Pixels:
        layers = self._read()
        if layers.alpha is None and layers.plain:
            return self.legacy_rgb
        return blend(self._colours(), layers.alpha, behind)

    def _colours(self) -> Pixels:
        """Return sRGB without transparency, not turned upright."""
        layers = self._read()
        return layers.colour.shown(layers.image)

    def _upright(self, pixels: Pixels) -> Pixels:
        return _upright(pixels, self._orientation)

    def thumbnail(self, size: int) -> bytes:
        """Return an upright JPEG without metadata, long side ≤ ``size`` pixels, never enlarged."""
        image = Image.fromarray(self.rgb)
        smaller = fitted_size(*image.size, size)
        if smaller != image.size:
            image = image.resize(smaller, Image.Resampling.BILINEAR, reducing_gap=1.0)
        return encode_jpeg(np.asarray(image), Quality.THUMBNAIL)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation 1-8; 1 if there is none or the EXIF block is damaged."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _distinct(renderings: list[Rendering]) -> list[Rendering]:
    kept: list[Rendering] = []
    for one in renderings:
        if not any(np.array_equal(one.rgb, other.rgb) for other in kept):
            kept.append(one)
    return kept


def _cells(rgb: Pixels) -> NDArray[np.float32]:
    return cv2.resize(rgb, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).astype(np.float32)


def _inverted(layers: Layers) -> Pixels:
    return as_rgb(ImageChops.invert(layers.image).convert("RGB"))


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo EXIF orientation 1-8, as ``ImageOps.exif_transpose`` does."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    pixels = np.ascontiguousarray(pixels)
    pixels.flags.writeable = False
    return pixels


def _flatten(image: Image.Image, compose: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Convert any mode to R, G, B; ``compose`` puts an RGBA picture on its background."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_8_bits(image))
    if image.has_transparency_data:
        image = compose(image.convert("RGBA"))
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return as_rgb(image)


def _over_black(image: Image.Image) -> Image.Image:
    """As libgd does it: alpha in 7 bits, the product truncated."""
    *bands, alpha = (np.asarray(band) for band in image.split())
    share = (alpha >> 1).astype(np.uint16)
    dimmed = [Image.fromarray((band * share // 127).astype(np.uint8)) for band in bands]
    return Image.merge("RGB", dimmed)


def _to_8_bits(image: Image.Image) -> Pixels:
    """Take the high byte of 16-bit grey, as libpng does. 32-bit integers and floats have no white
    point: they are stretched over their own range, and non-finite values become black."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return (values >> 8).astype(np.uint8)
    return stretched(values, cut_outliers=False)[0]
