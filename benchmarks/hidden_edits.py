"""Ways to hide a picture: as a negative, between the lines of another one, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Edit = Callable[[Pixels, Pixels], Pixels]
"""Picture, decoy → the file to send. Height × width × 3, RGB."""


def _as_large(decoy: Pixels, rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    return np.asarray(cv2.resize(decoy, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _negative(rgb: Pixels, _: Pixels) -> Pixels:
    return np.asarray(255 - rgb, np.uint8)


def _mirrored_negative(rgb: Pixels, _: Pixels) -> Pixels:
    return np.ascontiguousarray(255 - rgb[:, ::-1])


def _bordered_negative(rgb: Pixels, _: Pixels) -> Pixels:
    wide = max(rgb.shape) // 8
    edges = (wide,) * 4
    return np.asarray(
        cv2.copyMakeBorder(255 - rgb, *edges, cv2.BORDER_CONSTANT, value=(0,) * 3), np.uint8
    )


def _cropped_negative(rgb: Pixels, _: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    return np.ascontiguousarray(255 - rgb[: round(0.8 * height), : round(0.8 * width)])


def _stripes(rgb: Pixels, decoy: Pixels, *, pixels: int, upright: bool) -> Pixels:
    """Replace every second strip by the decoy's."""
    size = rgb.shape[1 if upright else 0]
    theirs = np.arange(size) // pixels % 2 == 1
    shown, other = rgb.copy(), _as_large(decoy, rgb)
    if upright:
        shown[:, theirs] = other[:, theirs]
    else:
        shown[theirs] = other[theirs]
    return shown


def _spread(rgb: Pixels, decoy: Pixels, *, pixels: int) -> Pixels:
    """Put strips of the decoy between all lines of the picture, which doubles its height."""
    strips = []
    other = _as_large(decoy, rgb)
    for top in range(0, len(rgb), pixels):
        strips += [rgb[top : top + pixels], other[top : top + pixels]]
    return np.ascontiguousarray(np.concatenate(strips))


def _chessboard(rgb: Pixels, decoy: Pixels, *, pixels: int) -> Pixels:
    """Replace every second tile by the decoy's."""
    height, width = rgb.shape[:2]
    rows, columns = np.arange(height) // pixels, np.arange(width) // pixels
    theirs = (rows[:, None] + columns) % 2 == 1
    return np.where(theirs[..., None], _as_large(decoy, rgb), rgb)


def _shuffled(rgb: Pixels, _: Pixels, *, tiles: int) -> Pixels:
    """Change the order of the picture's tiles."""
    height, width = (side // tiles for side in rgb.shape[:2])
    places = [(row, column) for row in range(tiles) for column in range(tiles)]
    # A cycle through all tiles in random order, so that every tile moves.
    ring = np.random.default_rng(tiles).permutation(len(places))
    order = np.empty_like(ring)
    order[ring] = np.roll(ring, 1)
    shown = np.empty((height * tiles, width * tiles, 3), np.uint8)
    for place, taken in zip(places, order.tolist(), strict=True):
        to, source = (
            (slice(r * height, (r + 1) * height), slice(c * width, (c + 1) * width))
            for r, c in (place, places[taken])
        )
        shown[to] = rgb[source]
    return shown


def _inset(rgb: Pixels, decoy: Pixels, *, share: float) -> Pixels:
    """Put the picture into the decoy at this share of its width and height."""
    height, width = rgb.shape[:2]
    shown = _as_large(decoy, rgb).copy()
    rows, columns = round(share * height), round(share * width)
    top, left = (height - rows) // 3, (width - columns) * 2 // 3
    small = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
    shown[top : top + rows, left : left + columns] = small
    return shown


EDITS: Final[Mapping[str, Edit]] = {
    "negative": _negative,
    "negative, mirrored": _mirrored_negative,
    "negative with a border": _bordered_negative,
    "negative, crop to 80 %": _cropped_negative,
    **{
        f"every second strip of {n} px, {words}": partial(_stripes, pixels=n, upright=upright)
        for upright, words in ((False, "lying"), (True, "standing"))
        for n in (8, 16, 32)
    },
    **{f"spread, strips of {n} px between": partial(_spread, pixels=n) for n in (8, 16, 32)},
    **{f"chessboard, tiles of {n} px": partial(_chessboard, pixels=n) for n in (16, 32, 64)},
    **{f"shuffled, {n} × {n} tiles": partial(_shuffled, tiles=n) for n in (2, 3, 4, 8)},
    "picture in picture, 1/2": partial(_inset, share=1 / 2),
    "picture in picture, 1/3": partial(_inset, share=1 / 3),
}
"""Name of each edit → edit. The long side of pictures is at most 512 pixels."""
