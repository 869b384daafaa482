"""Separates a decoded frame of any mode into colours and transparency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gallery.imaging.decoding.colour import Colour, as_rgb, colour_of, in_strips
from gallery.imaging.pixels import Pixels

BITS: Final = "bits"
WHITE_IS_ZERO: Final = "white_is_zero"
UNSIGNED: Final = "unsigned"
SWAPPED: Final = "swapped"
"""Keys that ``containers`` adds to Pillow's ``info``: bits of a stored value, whether 0 is white,
whether integers are unsigned, whether their bytes are in the wrong order."""

_OUTLIERS: Final = 0.5  # per cent of the values at each end
_OUTLIER_RANGE: Final = 1.0  # times the range between them: values farther outside are outliers


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """``image``: RGB, L, CMYK or LAB of 8 bits, without transparency.

    ``alpha``: height × width, None if all is opaque. ``plain``: whether Pillow's own conversion to
    RGB gives the right pixels.
    """

    image: Image.Image
    alpha: Pixels | None
    colour: Colour
    plain: bool


def layers_of(image: Image.Image) -> Layers:
    plain = True
    alpha = _alpha(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey, plain = _grey(image)
        base = Image.fromarray(grey)
    elif image.mode in ("LA", "La", "1"):
        base = image.convert("L")
    elif image.mode in ("L", "RGB", "CMYK", "LAB"):
        base = image
    else:
        base = (image if alpha is None else _with_alpha(image)).convert("RGB")
    colour = colour_of(image.info, base.mode)
    return Layers(base, alpha, colour, plain and colour.transform is None)


def blend(rgb: Pixels, alpha: Pixels | None, behind: int) -> Pixels:
    """Put the colours on a grey background of level ``behind``."""
    if alpha is None:
        return rgb

    def strip(top: int, bottom: int) -> Pixels:
        colours, mask = Image.fromarray(rgb[top:bottom]), Image.fromarray(alpha[top:bottom])
        page = Image.new("RGB", colours.size, (behind,) * 3)
        page.paste(colours, mask=mask)
        return as_rgb(page)

    return in_strips((rgb.shape[1], rgb.shape[0]), strip)


def _alpha(image: Image.Image) -> Pixels | None:
    if not image.has_transparency_data:
        return None
    transparent = image.info.get("transparency")
    if image.mode in ("L", "RGB", "1") or image.mode.startswith("I;16"):
        alpha = _keyed(image, transparent)
    else:
        alpha = np.asarray(_with_alpha(image).getchannel("A"))
    return None if alpha.min() == 255 else alpha


def _with_alpha(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _keyed(image: Image.Image, transparent: object) -> Pixels:
    """Return 0 where a pixel has the transparent colour, compared in the bit depth of the file."""
    values = np.asarray(image.convert("L") if image.mode == "1" else image)
    bits = image.info.get(BITS, 8)
    key = np.atleast_1d(np.asarray(transparent, dtype=np.int64))
    if image.mode.startswith("I;16"):
        key = key & 0xFFFF
    elif bits == 16:  # Pillow keeps the high byte
        key = key >> 8
    elif image.mode == "L" and bits < 8:  # Pillow scales the few greys to 0..255
        key = (key & ((1 << bits) - 1)) * (255 // ((1 << bits) - 1))
    same = (values == key).all(axis=2) if values.ndim == 3 else values == key[0]
    return np.where(same, 0, 255).astype(np.uint8)


def _grey(image: Image.Image) -> tuple[Pixels, bool]:
    """Reduce more than 8 bits to 8, black being 0. Also return whether simply cutting or
    stretching the values gives the same."""
    inverted = bool(image.info.get(WHITE_IS_ZERO, False))
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        bits = image.info.get(BITS, 16)
        grey = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
        return (255 - grey if inverted else grey), not inverted and bits == 16
    if swapped := bool(image.info.get(SWAPPED, False)):
        values = values.byteswap()
    unsigned = image.mode == "I" and bool(image.info.get(UNSIGNED, False))
    if unsigned:
        values = values.view(np.uint32)
    grey, cut = stretched(values)
    return (255 - grey if inverted else grey), not (inverted or cut or unsigned or swapped)


def stretched(stored: NDArray[np.generic], *, cut_outliers: bool = True) -> tuple[Pixels, bool]:
    """Stretch values without a white point over their range. Also return whether outliers were cut.

    Without the cut, a few values far outside would turn all others into one grey.
    """
    values = np.where(np.isfinite(stored), stored, np.nan).astype(np.float64)
    if np.isnan(values).all():
        return np.zeros(values.shape, np.uint8), False
    low, high = np.nanmin(values), np.nanmax(values)
    cut = False
    if cut_outliers:
        inner_low, inner_high = np.nanpercentile(values, [_OUTLIERS, 100 - _OUTLIERS])
        reach = _OUTLIER_RANGE * (inner_high - inner_low)
        if reach > 0 and (low < inner_low - reach or high > inner_high + reach):
            low, high, cut = max(low, inner_low), min(high, inner_high), True
    scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    return np.nan_to_num(scaled).round().clip(0, 255).astype(np.uint8), cut
