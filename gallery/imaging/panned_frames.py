"""Finds frames of an animation that show nothing but what two others show: a camera that moves.

In a pan each frame is new by its pixels, and each shows at its edges what the one before did not
show. But what is shown between two frames that are not far apart is in one or in both of them.
These two stand for those between if that is so of every part, by the rules of ``near_frames``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes
from gallery.imaging.near_frames import NEAR_BITS, SIDE, deviations, within_limits
from gallery.imaging.pixels import Pixels, fitted, resized, size_of

FARTHEST: Final = 0.25
"""How far two frames that stand for others may be apart, as a share of a side. Whatever one between
them shows is in one of them to at least seven eighths."""

LEAST_RESPONSE: Final = 0.1
"""Of the phase correlation; below this the frames do not show the same, moved."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PannedFrame:
    """``pixels``: the frame twice as large as its cells, also as imgsmlr reads it if that
    differs."""

    pixels: list[Pixels]

    @classmethod
    def of(cls, rgb: Pixels, legacy_rgb: Pixels) -> PannedFrame:
        every = [rgb] if legacy_rgb is rgb else [rgb, legacy_rgb]
        return cls([fitted(one, 2 * SIDE) for one in every])

    @cached_property
    def _grey(self) -> Any:
        return cv2.cvtColor(self.pixels[0], cv2.COLOR_RGB2GRAY).astype(np.float32)

    def shown_of(self, other: PannedFrame) -> Mask | None:
        """Return which cells of ``other`` this frame shows, moved; None if it shows any of them
        otherwise, or is too far."""
        shapes = [[one.shape for one in frame.pixels] for frame in (self, other)]
        if shapes[0] != shapes[1] or min(shapes[0][0][:2]) < SIDE // 4:
            return None
        width, height = size_of(self.pixels[0])
        window = cv2.createHanningWindow((width, height), cv2.CV_32F)
        # Copies, as it multiplies its arguments by the window.
        greys = self._grey.copy(), other._grey.copy()
        (x, y), response = cv2.phaseCorrelate(*greys, window)
        if response < LEAST_RESPONSE or max(abs(x) / width, abs(y) / height) > FARTHEST:
            return None
        x, y = _refined(self._grey, other._grey, x, y)
        across, down = _common(width, x), _common(height, y)
        shown = np.outer(down, across)
        for mine, others in zip(self.pixels, other.pixels, strict=True):
            moved = _halved(_moved(mine, x, y))
            if not _are_near(moved, _halved(others), shown):
                return None
        return shown


def standing_for(frames: Sequence[PannedFrame | None]) -> dict[int, int]:
    """Return the number of each frame that need not be looked at → one of two that stand for it.

    ``frames``: in their order. None: a frame for which no others can stand, nor it for them.
    """
    found: dict[int, int] = {}
    first = 0
    while first < len(frames) - 1:
        shown = _shown_by(frames, first)
        last = first + len(shown)
        while not_shown := [
            at
            for at in range(first + 1, last)
            if not _all_shown(frames[at], frames[last], shown[at])
        ]:
            last = not_shown[0]
        found |= dict.fromkeys(range(first + 1, last), first)
        first = max(last, first + 1)
    return found


def _shown_by(frames: Sequence[PannedFrame | None], first: int) -> dict[int, Mask]:
    """Return what the first frame shows of those that follow, up to one that is not near."""
    shown: dict[int, Mask] = {}
    start = frames[first]
    for at in range(first + 1, len(frames)):
        frame = frames[at]
        mask = start.shown_of(frame) if start is not None and frame is not None else None
        if mask is None:
            break
        shown[at] = mask
    return shown


def _all_shown(frame: PannedFrame | None, last: PannedFrame | None, shown: Mask) -> bool:
    """``shown``: which cells of the frame the first one shows."""
    rest = last.shown_of(frame) if last is not None and frame is not None else None
    return rest is not None and bool((shown | rest).all())


def _refined(a: Any, b: Any, x: float, y: float) -> tuple[float, float]:
    """Return by how much ``a`` is moved in ``b``, to hundredths of a pixel; phase correlation is
    wrong by up to a third of one."""
    height, width = a.shape
    for _ in range(2):
        moved = _moved(a, x, y)
        shown = np.outer(_common_pixels(height, y), _common_pixels(width, x))
        slopes = np.stack([cv2.Sobel(moved, cv2.CV_32F, *way, ksize=1) for way in ((1, 0), (0, 1))])
        slopes = slopes[:, shown] / 2
        step = np.linalg.lstsq(slopes @ slopes.T, slopes @ (moved - b)[shown], rcond=None)[0]
        x, y = x + float(np.clip(step[0], -1, 1)), y + float(np.clip(step[1], -1, 1))
    return x, y


def _common(length: int, moved: float) -> Mask:
    """Return along one side which cells both frames show, with a pixel's tolerance at the edges."""
    cells = length // 2
    return np.asarray(_common_pixels(length, moved)[: 2 * cells].reshape(cells, 2).all(axis=1))


def _common_pixels(length: int, moved: float) -> Mask:
    before = np.arange(length) - moved
    return np.asarray((before >= -1.0) & (before <= length), np.bool_)


def _moved(pixels: Any, x: float, y: float) -> Any:
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return cv2.warpAffine(pixels, matrix, size_of(pixels), borderMode=cv2.BORDER_REPLICATE)


def _halved(pixels: Pixels) -> Pixels:
    width, height = size_of(pixels)
    return resized(pixels[: height // 2 * 2, : width // 2 * 2], (width // 2, height // 2))


def _are_near(a: Pixels, b: Pixels, shown: Mask) -> bool:
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    a, b = np.ascontiguousarray(a[box]), np.ascontiguousarray(b[box])
    if not within_limits(a, b, deviations(a), deviations(b)):
        return False
    hashes = [_hash(a), _hash(b)]
    if hashes[0] is None or hashes[1] is None:
        return False
    return (hashes[0] ^ hashes[1]).bit_count() <= NEAR_BITS


def _hash(rgb: Pixels) -> int | None:
    found = dihedral_hashes(rgb)
    return int.from_bytes(found[0][0]) if found and found[1] >= LOW_QUALITY else None
