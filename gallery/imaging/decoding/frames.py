"""One decoded frame as arrays of R, G, B, whatever mode it was stored in.

Viewers differ in the background of transparent pixels and in whether they apply colour profiles.
``Frame.rgb`` is what most viewers show, ``Frame.renderings`` all that some viewer may show.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops

from gallery.imaging.decoding.colour import as_rgb, in_strips, stored, strip_of
from gallery.imaging.decoding.layers import Layers, blend, layers_of, stretched
from gallery.imaging.decoding.pictures import ImageInfo, Rendering
from gallery.imaging.pixels import Pixels


class Frame:
    """One decoded frame. Arrays are uint8, height × width × 3 (R, G, B), read-only.

    Arrays are computed on first use and cached. ``info`` describes the whole file. ``pixels``: of
    ``image``, if they were decoded without Pillow.
    """

    def __init__(
        self, image: Image.Image, info: ImageInfo, orientation: int, pixels: Pixels | None = None
    ) -> None:
        self.info = info
        self._image = image
        self._pixels = pixels
        self._orientation = orientation
        self._legacy_rgb: Pixels | None = None
        self._rgb: Pixels | None = None
        self._layers: Layers | None = None

    @property
    def legacy_rgb(self) -> Pixels:
        """As libimgsmlr reads it: not upright, no colour profile, transparency over black."""
        if self._legacy_rgb is None:
            image = self._image
            self._legacy_rgb = self._pixels
            if self._legacy_rgb is None:
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
            colours = self._pixels if self._pixels is not None else as_rgb(stored(layers.image))
            plain = blend(colours, layers.alpha, 255)
            found.append(Rendering("unconverted", self._upright(plain)))
        if self._may_be_inverted():
            found.append(Rendering("inverted", self._upright(_inverted(layers))))
        return _distinct(found)

    def is_identical_to(self, other: Frame) -> bool:
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

    @property
    def orientation(self) -> int:
        return self._orientation

    @property
    def has_one_rendering(self) -> bool:
        """Whether ``renderings`` is certain to be ``rgb`` alone; quick."""
        layers = self._read()
        odd = layers.colour.far or layers.colour.doubt or self._may_be_inverted()
        return layers.alpha is None and not odd

    def turned(self, orientation: int) -> Frame:
        return Frame(self._image, self.info, orientation, self._pixels)

    def header_value(self, name: str) -> object:
        return self._image.info.get(name)

    def _read(self) -> Layers:
        if self._layers is None:
            self._layers = layers_of(self._image)
        return self._layers

    def _may_be_inverted(self) -> bool:
        is_jpeg = self.info.format == "jpeg" and self._read().image.mode == "CMYK"
        return is_jpeg and "adobe" not in self._image.info

    def _over(self, behind: int) -> Pixels:
        layers = self._read()
        if layers.alpha is None and layers.plain:
            return self.legacy_rgb
        return blend(self._colours(), layers.alpha, behind)

    def _colours(self) -> Pixels:
        """Return sRGB without transparency, not turned upright."""
        layers = self._read()
        return layers.colour.shown(layers.image, self._pixels)

    def _upright(self, pixels: Pixels) -> Pixels:
        return _upright(pixels, self._orientation)


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
        return in_strips(
            image.size,
            lambda top, bottom: as_rgb(compose(strip_of(image, top, bottom).convert("RGBA"))),
        )
    if image.mode not in ("L", "RGB"):
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
