"""The borders of a video: what never changes around what does.

A single frame does not tell a border from a dark wall or a night sky. Over many frames the wall
lights up somewhere, and the border does not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.trimming import Box

Pixels = NDArray[np.uint8]

_TOLERANCE: Final = 24
"""Levels, of 255, that strong compression may move a border's pixel."""

_STRAY: Final = 0.1
"""Share of a line that may be something else: a channel's logo, a clock, an artefact."""

_STRAIGHT: Final = 0.25
"""Share of a line that becomes something else where the picture begins: where a plain sky
ends at a skyline it is less."""

_BLEND: Final = 4
"""Lines over which compression blends a border into the picture."""

_SMALLEST_SIDE: Final = 32
_SMALLEST_SHARE: Final = 0.1
_WORTH_REMOVING: Final = 0.02


class Borders:
    """Collects the frames of a stretch of video, all of one size, and finds its borders."""

    def __init__(self) -> None:
        self._brightest: Pixels | None = None
        self._darkest: Pixels | None = None

    def add(self, rgb: Pixels) -> None:
        """One more frame, height × width × 3."""
        if self._brightest is None or self._darkest is None:
            self._brightest, self._darkest = rgb.copy(), rgb.copy()
        else:
            np.maximum(self._brightest, rgb, out=self._brightest)
            np.minimum(self._darkest, rgb, out=self._darkest)

    def box(self) -> Box | None:
        """What lies within the borders in every frame, in pixels; None if there are none.

        None, too, if they are less than 2 % of the picture or would leave too little of it.
        """
        if self._brightest is None or self._darkest is None:
            return None
        changes = (self._brightest - self._darkest).max(axis=2) > _TOLERANCE
        # Where nothing changes the darkest moment is any moment.
        rows, columns = _box(changes, self._darkest.astype(np.int16))
        height, width = changes.shape
        kept = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        smallest = min(rows.stop - rows.start, columns.stop - columns.start)
        if not _SMALLEST_SHARE <= kept <= 1 - _WORTH_REMOVING or smallest < _SMALLEST_SIDE:
            return None
        return columns.start, rows.start, columns.stop, rows.stop


def _box(changes: NDArray[np.bool_], colours: NDArray[np.int16]) -> tuple[slice, slice]:
    """Rows and columns of the picture. Twice: bars at the sides hide those above and below."""
    rows, columns = slice(0, changes.shape[0]), slice(0, changes.shape[1])
    for _ in range(2):
        rows = _within(changes[:, columns], colours[:, columns])
        columns = _within(changes[rows].T, colours[rows].swapaxes(0, 1))
    return rows, columns


def _within(changes: NDArray[np.bool_], colours: NDArray[np.int16]) -> slice:
    """The lines (first axis) between the borders at the two ends."""
    colour = np.median(colours, axis=1, keepdims=True)
    other = (changes | (np.abs(colours - colour).max(axis=2) > _TOLERANCE)).mean(axis=1)
    content = np.flatnonzero(other > _STRAY)
    if not len(content):
        return slice(0, len(other))
    start, stop = int(content[0]), int(content[-1]) + 1
    if other[start : start + _BLEND].max() < _STRAIGHT:
        start = 0
    if other[max(0, stop - _BLEND) : stop].max() < _STRAIGHT:
        stop = len(other)
    return slice(start, stop)
