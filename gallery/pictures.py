"""One decoded frame as arrays of R, G, B, whatever mode it was stored in.

ICC profiles and all other metadata but the orientation are ignored: near-duplicates differ by more
than their colour profiles do.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Info:
    """What the header says: ``format`` is a key of ``FORMATS``, sizes in pixels as stored."""

    format: str
    width: int
    height: int
    frames: int


class Picture:
    """One decoded frame. Arrays are uint8, height × width × 3 (R, G, B), read-only.

    They are computed on first use and kept. Two threads may compute the same array twice, which
    is harmless. ``info`` describes the whole file.
    """

    def __init__(self, image: Image.Image, info: Info, orientation: int) -> None:
        self.info = info
        self._image = image
        self._orientation = orientation
        self._legacy_rgb: Pixels | None = None
        self._rgb: Pixels | None = None

    @property
    def legacy_rgb(self) -> Pixels:
        """As libimgsmlr sees it: EXIF orientation ignored, transparency over black."""
        if self._legacy_rgb is None:
            self._legacy_rgb = _flatten(self._image, _over_black)
        return self._legacy_rgb

    @property
    def rgb(self) -> Pixels:
        """As a viewer sees it: upright, transparency over white (the usual page behind it)."""
        if self._rgb is None:
            stored = (
                _flatten(self._image, _over_white)
                if self._image.has_transparency_data
                else self.legacy_rgb
            )
            self._rgb = _upright(stored, self._orientation)
        return self._rgb

    def thumbnail(self, size: int) -> bytes:
        """An upright JPEG without metadata, long side ≤ ``size`` pixels, never enlarged."""
        image = Image.fromarray(self.rgb)
        scale = min(1.0, size / max(image.size))
        width, height = (max(1, round(side * scale)) for side in image.size)
        if scale < 1.0:
            image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
        return out.getvalue()


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation 1-8; 1 where there is none or the EXIF block is damaged."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undoes EXIF orientation 1-8 (what ``ImageOps.exif_transpose`` does to a Pillow image)."""
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
    """Any mode → R, G, B; ``compose`` lays an RGBA picture over its background."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_8_bits(image))
    if image.has_transparency_data:
        image = compose(image.convert("RGBA"))
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    # np.asarray(RGB image) packs pixel by pixel; band by band takes a third to a quarter of it.
    bands = [np.asarray(band) for band in image.split()]
    pixels = cv2.merge(bands * 3 if len(bands) == 1 else bands).astype(np.uint8, copy=False)
    pixels.flags.writeable = False
    return pixels


def _over_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image)
    return page


def _over_black(image: Image.Image) -> Image.Image:
    """As libgd does it: alpha in 7 bits, the product cut off and not rounded."""
    *bands, alpha = (np.asarray(band) for band in image.split())
    share = (alpha >> 1).astype(np.uint16)
    dimmed = [Image.fromarray((band * share // 127).astype(np.uint8)) for band in bands]
    return Image.merge("RGB", dimmed)


def _to_8_bits(image: Image.Image) -> Pixels:
    """The high byte of 16-bit grey, as libpng strips it. 32-bit integers and floats name no white
    point: they are stretched over their own range, what is not finite becoming black."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return (values >> 8).astype(np.uint8)
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    if np.isnan(values).all():
        return np.zeros(values.shape, np.uint8)
    low, high = np.nanmin(values), np.nanmax(values)
    scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    stretched: Pixels = np.nan_to_num(scaled).round().astype(np.uint8)
    return stretched
