"""Whether a frame identifies its video."""

from __future__ import annotations

from typing import Final, Literal

from gallery.imaging.descriptors.pdq import LOW_QUALITY, SMALLEST_SIDE, pdq_quality
from gallery.imaging.pixels import Pixels, fitted_size, resized
from videos.decode.thumbnails import Thumbnail, correlation

FrameKind = Literal["picture", "dark", "flat", "noise"]
"""All but ``picture`` resemble too many other frames to identify a video."""

_HASHED_SIDE: Final = 128
"""Long side at which the quality is measured; at full size it differs by at most 2 of 100."""

_DARK_LEVEL: Final = 20
_DARK_SHARE: Final = 0.8
_FLAT_DEVIATION: Final = 8.0
_NOISE_CORRELATION: Final = 0.2
"""Noise has 0.0 to 0.1, also compressed; distant grass and gravel have 0.4."""


def frame_kind(rgb: Pixels, small: Thumbnail) -> FrameKind:
    """Return the kind of a frame whose ``grey_thumbnail`` is ``small``.

    dark: four fifths are nearly black (fades, titles). flat: little contrast, or a PDQ quality
    below 50. noise: neighbouring pixels do not correlate.
    """
    if float((small < _DARK_LEVEL).mean()) >= _DARK_SHARE:
        return "dark"
    if float(small.std()) < _FLAT_DEVIATION:
        return "flat"
    across, down = correlation(small[:, 1:], small[:, :-1]), correlation(small[1:], small[:-1])
    if (across + down) / 2 < _NOISE_CORRELATION:
        return "noise"
    return "flat" if _quality(rgb) < LOW_QUALITY else "picture"


def _quality(rgb: Pixels) -> int:
    height, width = rgb.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return 0
    return pdq_quality(
        resized(rgb, fitted_size(width, height, _HASHED_SIDE, smallest=SMALLEST_SIDE))
    )
