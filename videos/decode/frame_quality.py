"""What a frame looks like at a glance: a 64 × 64 grey copy, how alike two are, what one shows."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
import pdqhash
from numpy.typing import NDArray

from gallery.imaging.descriptors.pdq import LOW_QUALITY

Grey = NDArray[np.float32]
"""Levels 0..255, 64 × 64 if not stated otherwise."""

Kind = Literal["picture", "dark", "flat", "noise"]
"""All but ``picture`` look like too much else to say which video they are from."""

SIDE: Final = 64

_SMALLEST_SIDE: Final = 5
"""The hash's quality is not defined below."""

_HASHED_SIDE: Final = 128
"""The quality is the same within 2 of 100 as at full size, for a tenth of the time."""

_DARK_LEVEL: Final = 20
_DARK_SHARE: Final = 0.8
_FLAT_DEVIATION: Final = 8.0
_NOISE_CORRELATION: Final = 0.2
"""Noise, also compressed, has 0.0 to 0.1; grass and gravel from afar 0.4."""


def grey(rgb: NDArray[np.uint8]) -> Grey:
    """The picture, height × width × 3, squashed to 64 × 64 grey levels."""
    small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def coarse(small: Grey) -> Grey:
    """16 × 16 means of a ``grey``: what learned vectors see, too.

    Of frames up to two seconds apart, likeness at 16 × 16 correlates with the cosine of their
    copy vectors by 0.79, at 64 × 64 by 0.72; where it is 0.9 that cosine is 0.93 in the median
    and 0.73 at the fifth percentile.
    """
    return np.asarray(cv2.resize(small, (16, 16), interpolation=cv2.INTER_AREA), np.float32)


def likeness(a: Grey, b: Grey) -> float:
    """Correlation −1..1 of two pictures; of two without contrast 1 if equally bright, else 0."""
    x, y = a - a.mean(), b - b.mean()
    deviations = float(x.std()), float(y.std())
    if min(deviations) < 1.0:
        alike = max(deviations) < 2.0 and abs(float(a.mean() - b.mean())) < 4.0
        return 1.0 if alike else 0.0
    return float((x * y).mean()) / (deviations[0] * deviations[1])


def kind(rgb: NDArray[np.uint8], small: Grey) -> Kind:
    """What the picture shows; ``small`` is its ``grey``.

    dark: four fifths are nearly black (fades, titles on black); flat: hardly any contrast, or a
    PDQ quality below 50; noise: neighbours have nothing in common, as on an untuned television.
    """
    if float((small < _DARK_LEVEL).mean()) >= _DARK_SHARE:
        return "dark"
    if float(small.std()) < _FLAT_DEVIATION:
        return "flat"
    across, down = likeness(small[:, 1:], small[:, :-1]), likeness(small[1:], small[:-1])
    if (across + down) / 2 < _NOISE_CORRELATION:
        return "noise"
    return "flat" if _quality(rgb) < LOW_QUALITY else "picture"


def _quality(rgb: NDArray[np.uint8]) -> int:
    height, width = rgb.shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
        return 0
    scale = _HASHED_SIDE / max(height, width)
    if scale < 1:
        size = max(_SMALLEST_SIDE, round(width * scale)), max(_SMALLEST_SIDE, round(height * scale))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return int(pdqhash.compute(np.ascontiguousarray(rgb))[1])
