"""Finds the borders of a video: areas at its edges that never change.

In a single frame a border looks like a dark wall or a night sky; over many frames only the border
stays the same. (``gallery.imaging.trimming`` finds plain margins in one picture.)
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.pixels import Box, Pixels

_TOLERANCE: Final = 24
"""Levels of 255 by which strong compression may change a border's pixel."""

_STRAY: Final = 0.1
"""Share of a border's line that may change: a channel's logo, a clock, an artefact."""

_STRAIGHT: Final = 0.25
"""Share of a line that changes at a picture's edge; less where a plain sky meets a skyline."""

_BLEND: Final = 4
"""Lines over which compression blurs a border into the picture."""

_SMALLEST_SIDE: Final = 32
_SMALLEST_SHARE: Final = 0.1
_WORTH_REMOVING: Final = 0.02


class BorderDetector:
    """Collects frames of one size and finds their common borders."""

    def __init__(self) -> None:
        self._brightest: Pixels | None = None
        self._darkest: Pixels | None = None

    def add(self, rgb: Pixels) -> None:
        if self._brightest is None or self._darkest is None:
            self._brightest, self._darkest = rgb.copy(), rgb.copy()
        else:
            np.maximum(self._brightest, rgb, out=self._brightest)
            np.minimum(self._darkest, rgb, out=self._darkest)

    def box(self) -> Box | None:
        """Return the box within the borders; None if they are under 2 % of the picture or leave
        too little of it."""
        if self._brightest is None or self._darkest is None:
            return None
        # Channel by channel, which NumPy and the processor's cache do 20 times as fast.
        red, green, blue = np.moveaxis(self._brightest - self._darkest, 2, 0)
        changes = np.maximum(np.maximum(red, green), blue) > _TOLERANCE
        # Where nothing changes, the darkest level is the level of every frame.
        rows, columns = _box(changes, np.ascontiguousarray(np.moveaxis(self._darkest, 2, 0)))
        height, width = changes.shape
        kept = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        smallest = min(rows.stop - rows.start, columns.stop - columns.start)
        if not _SMALLEST_SHARE <= kept <= 1 - _WORTH_REMOVING or smallest < _SMALLEST_SIDE:
            return None
        return columns.start, rows.start, columns.stop, rows.stop


def _box(changes: NDArray[np.bool_], colours: Pixels) -> tuple[slice, slice]:
    """``colours``: channels × height × width. Repeated, because bars at the sides hide those above
    and below."""
    rows, columns = slice(0, changes.shape[0]), slice(0, changes.shape[1])
    for _ in range(2):
        rows = _between_borders(changes[:, columns], colours[:, :, columns])
        columns = _between_borders(changes[rows].T, colours[:, rows].swapaxes(1, 2))
    return rows, columns


def _between_borders(changes: NDArray[np.bool_], colours: Pixels) -> slice:
    differs = changes.copy()
    for channel in colours:
        differs |= _far_from_median(channel)
    other = differs.mean(axis=1)
    content = np.flatnonzero(other > _STRAY)
    if not len(content):
        return slice(0, len(other))
    start, stop = int(content[0]), int(content[-1]) + 1
    if other[start : start + _BLEND].max() < _STRAIGHT:
        start = 0
    if other[max(0, stop - _BLEND) : stop].max() < _STRAIGHT:
        stop = len(other)
    return slice(start, stop)


def _far_from_median(channel: Pixels) -> NDArray[np.bool_]:
    """Return where a level is far from the median of its line."""
    # A radix sort, faster than selecting the median.
    ordered = np.sort(channel, axis=1, kind="stable").astype(np.int16)
    width = channel.shape[1]
    twice = ordered[:, (width - 1) // 2] + ordered[:, width // 2]
    return np.abs(2 * channel.astype(np.int16) - twice[:, np.newaxis]) > 2 * _TOLERANCE
