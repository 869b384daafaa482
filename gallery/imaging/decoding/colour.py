"""Converts stored pixels to sRGB with their colour profile, as viewers do.

Profiles are untrusted. An unreadable profile is ignored, as in browsers. ``Colour.doubt`` reports a
profile that turns a picture into a different one, which no ordinary profile does.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image, ImageCms

from gallery.imaging.decoding.icc_profiles import Chromaticity, profile_of_cicp, profile_of_gamma
from gallery.imaging.decoding.matrix_profiles import MatrixProfile, parse_matrix_profile
from gallery.imaging.pixels import Pixels

MAX_PROFILE_BYTES: Final = 4 * 2**20

_STRIP_PIXELS: Final = 2**17

_UNSEEN_MAX, _UNSEEN_MEAN = 12, 2.0
"""A profile that changes 8-bit values by at most this much (maximum, mean) is not applied."""

_SAME: Final = 2
"""Levels of 255 by which ``MatrixProfile`` may differ from lcms."""

_FAR: Final = 48
"""Levels of 255. If a grey changes by more, viewers without profiles show another picture."""

_FALLS: Final = 8
_EXPONENTS: Final = {64: (0.3, 7.0), 128: (0.4, 4.0), 192: (0.3, 7.0)}
"""Stored grey → range of plausible exponents. Linear light has 1, screens have 1.8 to 2.6."""

_NO_CACHE: Final = 0x0040  # lcms: the cache of a transform is not thread-safe
_CLASSES: Final = frozenset({"mntr", "scnr", "prtr", "spac"})
_MODES: Final = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}

FALLING: Final = (
    "Its colour profile makes bright what is stored dark, which no ordinary profile does."
)
EXTREME: Final = "Its colour curve is so steep that it hides what is stored."
SWAPPED: Final = "Its colour profile swaps colours, which no ordinary profile does."


@dataclass(frozen=True, slots=True, eq=False)
class Colour:
    """How to convert pixels to sRGB. ``transform``: None if they are sRGB already.

    ``greys``: 256 × 3, the result for each grey. ``fast``: a faster equivalent of ``transform``.
    ``far``: viewers that ignore the profile show another picture. ``doubt``: a sentence that says
    why the profile is suspicious.
    """

    transform: ImageCms.ImageCmsTransform | None = None
    greys: Pixels | None = None
    fast: MatrixProfile | None = None
    far: bool = False
    doubt: str | None = None

    def shown(self, image: Image.Image, pixels: Pixels | None = None) -> Pixels:
        """Convert RGB, L, CMYK or LAB to height × width × 3 in sRGB, read-only.

        ``pixels``: of an RGB image, if they were decoded without Pillow.
        """
        if self.transform is None:
            return as_rgb(stored(image)) if pixels is None else pixels
        if image.mode == "L" and self.greys is not None:
            shown = np.asarray(cv2.LUT(as_rgb(image), self.greys[None]), np.uint8)
        elif self.fast is not None:
            shown = self.fast.apply(as_rgb(image) if pixels is None else pixels)
        else:
            return as_rgb(
                self.transform.apply(image if pixels is None else Image.fromarray(pixels))
            )
        shown.flags.writeable = False
        return shown


def stored(image: Image.Image) -> Image.Image:
    """Convert to RGB or L without the colour profile."""
    if image.mode == "LAB":
        return _lab().apply(image)
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def as_rgb(image: Image.Image) -> Pixels:
    """Convert RGB or L to height × width × 3, read-only."""
    return in_strips(image.size, lambda top, bottom: _as_rgb(strip_of(image, top, bottom)))


def _as_rgb(image: Image.Image) -> Pixels:
    values = np.asarray(image)
    return values if image.mode == "RGB" else np.asarray(cv2.merge([values] * 3), np.uint8)


def in_strips(size: tuple[int, int], make: Callable[[int, int], Pixels]) -> Pixels:
    """Compute height × width × 3 pixels, some rows at a time; read-only.

    What is needed in between then stays small, and in the processor's cache. ``size``: width,
    height. ``make`` returns the pixels from a row to another one.
    """
    width, height = size
    rows = max(1, _STRIP_PIXELS // width)
    if height <= rows:
        pixels = make(0, height)
    else:
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, rows):
            pixels[top : top + rows] = make(top, min(top + rows, height))
    pixels.flags.writeable = False
    return pixels


def strip_of(image: Image.Image, top: int, bottom: int) -> Image.Image:
    if (top, bottom) == (0, image.height):
        return image
    return image.crop((0, top, image.width, bottom))


SRGB: Final = Colour()


def colour_of(info: Mapping[Any, Any], mode: str) -> Colour:
    """Return the conversion for a picture with Pillow's ``info``.

    Sources in the order of browsers: cICP or nclx, the ICC profile, sRGB, gAMA with cHRM.
    """
    cicp = info.get("cicp")
    if cicp is not None:
        profile = profile_of_cicp(cicp[0], cicp[1])
        named = None if profile is None else _of_profile(profile, mode)
        # These curves are standards, so a steep one is no reason for doubt.
        return SRGB if named is None else replace(named, doubt=None)
    icc = info.get("icc_profile")
    if isinstance(icc, bytes) and len(icc) <= MAX_PROFILE_BYTES:
        found = _of_profile(icc, mode)
        if found is not None:
            return found
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not isinstance(gamma, float) or gamma <= 0:
        return SRGB
    return _of_profile(profile_of_gamma(gamma, _pairs(chromaticity)), mode) or SRGB


def _pairs(
    chromaticity: object,
) -> tuple[Chromaticity, Chromaticity, Chromaticity, Chromaticity] | None:
    if not isinstance(chromaticity, tuple) or len(chromaticity) != 8:
        return None
    white, red, green, blue = (
        (float(chromaticity[at]), float(chromaticity[at + 1])) for at in (0, 2, 4, 6)
    )
    return white, red, green, blue


@lru_cache(16)
def _of_profile(icc: bytes, mode: str) -> Colour | None:
    """None if the profile is damaged or for another mode."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        theirs = _MODES.get(profile.profile.xcolor_space.strip())
        if profile.profile.device_class not in _CLASSES or theirs is None:
            return None
        # Grey pixels may have an RGB profile; all other modes must agree.
        if theirs != mode and (theirs, mode) != ("RGB", "L"):
            return None
        return _measured_colour(_transform(profile, theirs), theirs, parse_matrix_profile(icc))
    except Exception:  # lcms, Pillow and damaged tags raise nearly anything
        return None


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        _srgb(),
        mode,
        "RGB",
        ImageCms.Intent.PERCEPTUAL,
        ImageCms.Flags(_NO_CACHE),
    )


@cache
def _srgb() -> ImageCms.core.CmsProfile:
    return ImageCms.createProfile("sRGB")


@cache
def _lab() -> ImageCms.ImageCmsTransform:
    return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _measured_colour(
    transform: ImageCms.ImageCmsTransform, mode: str, fast: MatrixProfile | None
) -> Colour:
    if mode == "LAB":
        return Colour(transform)
    ramps = _ramps(mode)
    sample = Image.fromarray(ramps if mode != "L" else ramps[..., 0], mode)
    shown = as_rgb(transform.apply(sample))
    moved = cv2.absdiff(shown, as_rgb(stored(sample)))
    doubt = _doubt(shown.astype(int), mode)
    unseen = moved.max() <= _UNSEEN_MAX and moved.mean() <= _UNSEEN_MEAN
    if unseen and mode != "CMYK" and doubt is None:
        return SRGB
    if fast is not None and (mode != "RGB" or cv2.absdiff(fast.apply(ramps), shown).max() > _SAME):
        fast = None
    greys = None if mode == "CMYK" else shown[0]
    return Colour(transform, greys, fast, bool(moved[0].max() > _FAR), doubt)


@cache
def _ramps(mode: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return rows of 256: greys, then each channel alone; for RGB also a grid of 16³ colours."""
    steps = np.arange(256, dtype=np.uint8)
    channels = len(mode) if mode != "L" else 1
    rows = np.zeros((1 + channels, 256, channels), np.uint8)
    rows[0, :, : min(channels, 3)] = steps[:, None]
    for channel in range(channels):
        rows[1 + channel, :, channel] = steps
    if mode != "RGB":
        return rows
    grid = np.stack(np.meshgrid(*[np.arange(16) * 17] * 3), axis=-1).reshape(16, 256, 3)
    return np.concatenate([rows, grid.astype(np.uint8)])


def _doubt(shown: np.ndarray[Any, np.dtype[np.int_]], mode: str) -> str | None:
    channels = len(mode) if mode != "L" else 1
    light = shown[: 1 + channels] @ np.array([0.299, 0.587, 0.114])
    if mode == "CMYK":  # more ink is less light
        light = 255 - light
    if (np.maximum.accumulate(light, axis=1) - light).max() > _FALLS:
        return FALLING
    if mode == "CMYK":
        return None
    for at, (least, most) in _EXPONENTS.items():
        if not least <= _exponent(at, float(light[0, at])) <= most:
            return EXTREME
    if mode == "RGB":
        full = shown[1:4, 255]
        others = full + np.diag([-256] * 3)
        if (full.diagonal() <= others.max(axis=1)).any():
            return SWAPPED
    return None


def _exponent(at: int, light: float) -> float:
    """Return e so that (at / 255) ** e is the linear light of an sRGB grey."""
    value = light / 255
    linear = value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
    return math.log(max(linear, 1e-6)) / math.log(at / 255)
