"""Finds the part of a picture within plain margins.

A margin is a run of lines of one colour: a border, letterbox bars, the page around a picture in a
screenshot. Margins are found in a reduced copy, where noise is averaged, and then to the pixel.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.pixels import Box

Lines = NDArray[np.int16]
"""3 channels × lines × pixels of a line."""

_CELLS = 128
"""The reduced copy has this many cells in each direction, up to twice as many."""

_SMALLEST_CELL = 4
"""Pixels. Strong compression blurs the edges of small pictures over several."""

_TOLERANCE = 12
"""Levels of 255 by which a channel may differ within one colour."""

_ONE_COLOUR = 4
"""Levels of 255 by which the lines of one margin may differ; a clear sky changes more."""

_STRAY = 0.02
"""Share of a line that may have other colours: dust, compression noise."""

_STRAIGHT = 0.25
"""Share of a line that changes colour at the edge of a picture. At the outline of an object on a
plain background it is less."""

_PAGE_WIDE = 0.5
"""The same for a picture on a page with other content."""

_SMALLEST_PICTURE = 0.1
_SMALLEST_OBJECT = 0.2
"""Least shares of the area; anything smaller is only a detail."""

_OBJECT_MARGINS = 3
"""Sides on which an object must have plain background; one or two may be a clear sky."""

_SMALLEST_SIDE = 32
_TURNS = 8
_WORTH_REMOVING = 0.02


def trim(rgb: NDArray[np.uint8]) -> Box | None:
    """Return the box within the plain margins of an upright picture, height × width × 3.

    Each margin may have its own colour; margins under 4 pixels or 1/128 of the side are not found.
    Text and symbols beside a picture are removed with the margins if the picture is larger than
    they are together. Content without straight edges is an object on a plain background: it must
    cover a fifth of the area and have margins on three sides.

    None if the margins are less than 2 % of the area, or if the rest is flat, under 32 pixels or
    under a tenth of the area.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
        return None
    cell_width, cell_height = (max(_SMALLEST_CELL, side // _CELLS) for side in (width, height))
    small = _reduced(rgb, cell_width, cell_height)
    (left, top, right, bottom), straight = _within_margins(_planes(small))
    right = width if right == small.shape[1] else right * cell_width
    bottom = height if bottom == small.shape[0] else bottom * cell_height
    box = _sharpened(
        rgb, (left * cell_width, top * cell_height, right, bottom), (cell_width, cell_height)
    )
    return box if _worth(box, rgb, straight) else None


def _reduced(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return the mean colours of cells of ``width`` × ``height`` pixels.

    The last cell ends where the picture ends, so it may overlap the one before it.
    """
    # Cells of whole pixels are four times as fast.
    across, down = _cells(rgb.shape[1], width), _cells(rgb.shape[0], height)
    parts = [
        [cv2.resize(rgb[y, x], (m, n), interpolation=cv2.INTER_AREA) for x, m in across]
        for y, n in down
    ]
    return np.asarray(np.vstack([np.hstack(part) for part in parts]), np.uint8)


def _cells(side: int, cell: int) -> list[tuple[slice, int]]:
    """Return the pixels and the number of the whole cells, and of the last one if it overlaps."""
    count = side // cell
    whole, last = (slice(count * cell), count), (slice(side - cell, side), 1)
    return [whole, last] if side % cell else [whole]


def _planes(rgb: NDArray[Any]) -> Lines:
    return np.ascontiguousarray(rgb.transpose(2, 0, 1), dtype=np.int16)


def _within_margins(picture: Lines) -> tuple[Box, bool]:
    """Return the box in cells, and whether its edges are straight."""
    box = [0, 0, picture.shape[2], picture.shape[1]]
    straight, bordered, idle = True, False, 0
    # Rows and columns alternate: removing one margin may reveal another.
    for turn in range(_TURNS):
        axis = (turn + 1) % 2
        part = picture[:, box[1] : box[3], box[0] : box[2]]
        lines = part if axis else part.swapaxes(1, 2)
        # Everything within a border is the picture, even an object on a plain background.
        start, end, clean = _within(lines, not bordered)
        box[axis], box[axis + 2] = box[axis] + start, box[axis] + end
        cut = end - start < lines.shape[1]
        straight = straight and clean
        bordered = bordered or (cut and clean)
        idle = 0 if cut else idle + 1
        framed = box[0] > 0 < box[1] and box[2] < picture.shape[2] and box[3] < picture.shape[1]
        if idle == 2 or (framed and bordered):
            break
    left, top, right, bottom = box
    return (left, top, right, bottom), straight


def _within(lines: Lines, any_edge: bool) -> tuple[int, int, bool]:
    """Return first and last + 1 of the lines within the margins, and whether the edges are
    straight.

    ``any_edge``: also remove margins at edges that are not straight.
    """
    count = lines.shape[1]
    uniform, colours = _uniform(lines)
    ends = [end for end in (0, count - 1) if uniform[end]]
    margin = uniform & _alike(colours, ends)
    if margin.all():
        return 0, count, True
    band = _band(lines, uniform, colours) if any_edge else None
    if band:
        return *band, True
    start, end = int(np.argmin(margin)), count - int(np.argmin(margin[::-1]))
    start_clean, end_clean = (share > _STRAIGHT for share in _changes(lines, start, end))
    if any_edge:
        return start, end, start_clean and end_clean
    return start if start_clean else 0, end if end_clean else count, True


def _uniform(lines: Lines) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """Return which lines have one colour, and the colours, 3 × lines."""
    sample = np.linspace(0, lines.shape[2] - 1, 7)[1:-1].astype(np.intp)
    colours = np.median(lines[:, :, sample], axis=2).astype(np.int16)
    # The ends are left out: neighbouring pixels bleed into them.
    return _other(lines[:, :, 2:-2], colours) <= _STRAY, colours


def _alike(colours: NDArray[np.int16], chosen: list[int]) -> NDArray[np.bool_]:
    difference = np.abs(colours[:, :, None] - colours[:, None, chosen])
    return np.asarray((difference <= _ONE_COLOUR).all(axis=0).any(axis=1))


def _band(
    lines: Lines, uniform: NDArray[np.bool_], colours: NDArray[np.int16]
) -> tuple[int, int] | None:
    """Find the picture on a page with other content: the run wider than all others together."""
    if not uniform.any():
        return None
    every = np.flatnonzero(uniform)
    alike = (np.abs(colours[:, every, None] - colours[:, None, every]) <= _ONE_COLOUR).all(axis=0)
    page = uniform & _alike(colours, [int(every[np.argmax(alike.sum(axis=1))])])
    steps = np.flatnonzero(np.diff(np.concatenate([[True], page, [True]])))
    starts, ends = steps[::2], steps[1::2]
    if not len(starts):
        return None
    longest = int(np.argmax(ends - starts))
    start, end = int(starts[longest]), int(ends[longest])
    widest = 2 * (end - start) > (~page).sum()
    wide = min(_changes(lines, start, end)) > _PAGE_WIDE
    return (start, end) if widest and wide else None


def _other(lines: Lines, colour: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the share of each line that differs from its colour (3 × lines or 3 × 1)."""
    differs = (np.abs(lines - colour[:, :, None]) > _TOLERANCE).any(axis=0)
    return np.asarray(differs.sum(axis=1) / max(1, lines.shape[2]))


def _changed(lines: Lines, edge: int) -> float:
    """Return the share of a line that differs from the margin before; 1 at the picture's edge."""
    if edge == 0:
        return 1.0
    # The second line on either side: the first may be half margin.
    near = lines[:, max(0, edge - 2) : edge + 2]
    return float(_other(near, _colour(near[:, 0])).max())


def _changes(lines: Lines, start: int, end: int) -> tuple[float, float]:
    return _changed(lines, start), _changed(lines[:, ::-1], lines.shape[1] - end)


def _colour(line: Lines) -> NDArray[np.int16]:
    return np.asarray(line.mean(axis=1, keepdims=True), np.int16)


def _sharpened(rgb: NDArray[np.uint8], box: Box, cell: tuple[int, int]) -> Box:
    """Move each edge of the box to the exact pixel, by up to two cells."""
    left, top, right, bottom = box
    rows, columns = rgb[:, left:right], rgb[top:bottom].swapaxes(0, 1)
    height, width = len(rows), len(columns)
    return (
        _edge(columns, left, cell[0]),
        _edge(rows, top, cell[1]),
        width - _edge(columns[::-1], width - right, cell[0]),
        height - _edge(rows[::-1], height - bottom, cell[1]),
    )


def _edge(lines: NDArray[np.uint8], edge: int, cell: int) -> int:
    """Return the exact number of margin lines; ``edge`` is right to within two cells."""
    if edge == 0:
        return 0
    first, step = max(0, edge - cell), max(1, lines.shape[1] // _CELLS)
    strip = _planes(lines[first : edge + 2 * cell, ::step])
    other = _other(strip, _colour(strip[:, 0]))
    most = float(other.max())
    return first + int(np.argmax(other > most / 2)) if most > _STRAY else edge


def _worth(box: Box, rgb: NDArray[np.uint8], straight: bool) -> bool:
    left, top, right, bottom = box
    height, width = rgb.shape[:2]
    if min(right - left, bottom - top) < _SMALLEST_SIDE:
        return False
    share = (right - left) * (bottom - top) / (height * width)
    margins = sum((left > 0, top > 0, right < width, bottom < height))
    smallest = _SMALLEST_PICTURE if straight else _SMALLEST_OBJECT
    step = max(1, min(right - left, bottom - top) // _SMALLEST_SIDE)
    sample = rgb[top:bottom:step, left:right:step].reshape(-1, 3)
    return (
        smallest <= share <= 1 - _WORTH_REMOVING
        and (straight or margins >= _OBJECT_MARGINS)
        and bool(np.ptp(sample, axis=0).max() > _TOLERANCE)
    )
