"""Finds pictures inside a picture, so that each is compared alone.

- *Strips*: two pictures interleaved. Every second strip, or every second tile of a chessboard, is
  of the other picture. At the edges all pixels of a line change at once, at equal distances. Each
  picture is shown alone, its gaps filled from their surroundings, as eyes do.
- *Sections*: a stitched screenshot shows many pictures, each too small to be found in the whole or
  in its quarters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.pixels import Pixels, fitted_size

STRIPS: Final = "strips-"
SECTION: Final = "section-"
"""How the names of the renderings begin."""

STRIPS_LONG_SIDE: Final = 512
"""Long side of the separated pictures: enough for hashes and for models."""

MAX_SECTIONS: Final = 32

_LONG: Final = 2.5
"""Long side ÷ short side from which a picture counts as long; the screens of phones are below."""

_LINE_PIXELS: Final = 256

_MIN_STRIPS: Final = 8
_NARROWEST: Final = 4
_BESIDE: Final = (-3, -2, 2, 3)
"""An edge must change more than these lines beside it; compression smears it to the next ones."""
_STANDS_OUT: Final = 0.15
_STRONG: Final = 0.9
"""Logarithms of the change from one line to the next: by how much an edge exceeds the lines beside
it, and the median of the picture."""
_REGULAR: Final = 0.7
"""Least share of the expected places of edges that have an edge."""


def inner_pictures(rgb: Pixels) -> dict[str, Pixels]:
    """Return the pictures inside one, by name: ``strips-1``, ``section-1``, …"""
    return {
        **_named(STRIPS, separate_strips(rgb)),
        **_named(SECTION, cut_sections(rgb)),
    }


def is_inner(name: str) -> bool:
    return name.startswith((STRIPS, SECTION))


def cut_sections(rgb: Pixels) -> list[Pixels]:
    """Cut squares along the long side; none of a picture that is not long.

    Each begins half a square after the one before. In a picture more than 16 times as long as wide
    ``MAX_SECTIONS`` squares are spread over the length and do not cover all of it.
    """
    height, width = rgb.shape[:2]
    short, long = sorted((height, width))
    if long < _LONG * short:
        return []
    count = min(MAX_SECTIONS, 2 * long // short)
    starts = np.linspace(0, long - short, count).round().astype(int).tolist()
    if height == long:
        return [rgb[at : at + short] for at in starts]
    return [np.ascontiguousarray(rgb[:, at : at + short]) for at in starts]


def separate_strips(rgb: Pixels) -> list[Pixels]:
    """Return the two interleaved pictures, at most ``STRIPS_LONG_SIDE`` pixels; none without
    strips.

    Strips in one direction give each picture twice: with its gaps filled, and with its strips
    joined, in case nothing is missing between them.
    """
    height, width = rgb.shape[:2]
    down = _find_strips(rgb[:, :: max(1, width // _LINE_PIXELS), 1])
    across = _find_strips(rgb[:: max(1, height // _LINE_PIXELS), :, 1].T)
    if down is None and across is None:
        return []
    rows = down.is_odd(height) if down else np.zeros(height, bool)
    columns = across.is_odd(width) if across else np.zeros(width, bool)
    mask = rows[:, np.newaxis] ^ columns
    wide = max(strips.width for strips in (down, across) if strips)
    found = [_filled(rgb, one, wide) for one in (mask, ~mask)]
    if down is None or across is None:
        axis, odd = (0, rows) if down else (1, columns)
        joined = (np.compress(one, rgb, axis=axis) for one in (odd, ~odd))
        found += [np.ascontiguousarray(one) for one in joined]
    return found


def _named(prefix: str, pictures: list[Pixels]) -> dict[str, Pixels]:
    return {f"{prefix}{number}": one for number, one in enumerate(pictures, 1)}


@dataclass(frozen=True, slots=True)
class _Strips:
    """Strips begin at ``first`` + n × ``width`` pixels."""

    first: int
    width: int

    def is_odd(self, count: int) -> NDArray[np.bool_]:
        return np.asarray((np.arange(count) - self.first) // self.width % 2 == 1)


def _find_strips(lines: Pixels) -> _Strips | None:
    """``lines``: lines × pixels."""
    if len(lines) <= _MIN_STRIPS * _NARROWEST:
        return None
    steps = np.log(np.abs(np.diff(lines.astype(np.int16), axis=0)).mean(axis=1) + 2.0)
    peaks = _peaks(steps)
    usual = float(np.median(steps))
    count = np.count_nonzero(peaks & (steps > usual + _STRONG))
    if count < _REGULAR * _MIN_STRIPS / 2:
        return None
    # Narrower strips would have more edges.
    narrowest = max(_NARROWEST, int(len(steps) * _REGULAR / count / 2))
    best = max(
        (_fold(steps, width) for width in range(narrowest, len(steps) // _MIN_STRIPS + 1)),
        default=(0.0, 0, 0),
    )
    _, width, first = best
    if not width:
        return None
    edges = np.arange(first, len(steps), width)
    strong = float(np.median(steps[edges])) - usual
    if peaks[edges].mean() < _REGULAR or strong < _STRONG:
        return None
    return _Strips(first + 1, width)


def _peaks(steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    reach = max(_BESIDE)
    padded = np.pad(steps, reach, constant_values=-np.inf)
    others = [padded[reach + n : reach + n + len(steps)] for n in _BESIDE]
    return np.asarray(steps > np.max(others, axis=0) + _STANDS_OUT)


def _fold(steps: NDArray[np.float64], width: int) -> tuple[float, int, int]:
    """Return (score, width, first): how much more each ``width``-th line changes than the
    others."""
    count = len(steps) // width
    means = steps[: count * width].reshape(count, width).mean(axis=0)
    first = int(means.argmax())
    others = (means.sum() - means[[first - 1, first, (first + 1) % width]].sum()) / (width - 3)
    return float((means[first] - others) * np.sqrt(count)), width, first


def _filled(rgb: Pixels, mask: NDArray[np.bool_], strip_width: float) -> Pixels:
    """Keep the pixels in the mask, and fill the gaps with the mean of what is near."""
    height, width = rgb.shape[:2]
    scale = min(1.0, STRIPS_LONG_SIDE / max(height, width))
    there = mask.astype(np.float32)
    shown = rgb * there[..., np.newaxis]
    if scale < 1.0:
        size = fitted_size(width, height, STRIPS_LONG_SIDE)
        shown, there = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
            for one in (shown, there)
        )
    sigma = 0.5 * (strip_width * scale)
    sums, weights = (cv2.GaussianBlur(one, (0, 0), sigma) for one in (shown, there))
    around = sums / np.maximum(weights, 1e-3)[..., np.newaxis]
    # A half-masked pixel is mixed with half of its surroundings.
    mixed = shown + (1.0 - there)[..., np.newaxis] * around
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
