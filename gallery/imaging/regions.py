"""Convex regions of pictures. A picture is given by its four corners, in any unit."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.transforms import Floats, transform_points

RelativeBox = tuple[float, float, float, float]
"""Left, top, right, bottom as shares 0..1 of a picture's width and height."""

Region = tuple[tuple[float, float], ...]
"""Corners x, y of a convex polygon (3 to 8) as shares 0..1 of a picture's width and height."""

_STANDS_OUT = 0.01
_EXACT = 1e-9


def corners_of(width: float, height: float) -> Floats:
    """Return 4 × 2: the corners of a picture, clockwise from the top left."""
    return np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def shared_region(matrix: Floats, first: Floats, second: Floats) -> Floats:
    """Return the corners in the first picture, up to 8 × 2, of the region that both show; or 0 × 2.

    ``matrix``: from the first to the second. By Sutherland and Hodgman (1974), because OpenCV's
    ``intersectConvexConvex`` errs where edges touch.
    """
    polygon = transform_points(np.asarray(cv2.invertAffineTransform(matrix), np.float64), second)
    for axis, limit in enumerate(first[2]):
        polygon = _clipped(polygon, polygon[:, axis])
        polygon = _clipped(polygon, limit - polygon[:, axis])
    # Pictures that share only an edge or a corner have no region.
    return polygon if len(polygon) and _area(polygon) > _EXACT else np.empty((0, 2))


def _clipped(polygon: Floats, heights: Floats) -> Floats:
    """Return the part of a polygon where heights, given at its corners, are not below 0."""
    kept = []
    for k in range(len(polygon)):
        before, here = heights[k - 1], heights[k]
        if (before < 0) != (here < 0):
            kept.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * before / (before - here))
        if here >= 0:
            kept.append(polygon[k])
    return np.array(kept).reshape(-1, 2)


def distinct_corners(polygon: Floats) -> list[int]:
    """Return the indices of corners that are 0.01 or more off the line between their neighbours.

    Two nearly equal outlines cross at points that do not look like corners.
    """
    kept = list(range(len(polygon)))
    while len(kept) > 3:
        here = polygon[kept]
        before, after = np.roll(here, 1, axis=0), np.roll(here, -1, axis=0)
        (x, y), (u, v) = (here - before).T, (after - before).T
        heights = np.abs(x * v - y * u) / np.maximum(np.hypot(u, v), 1e-9)
        flattest = int(heights.argmin())
        if heights[flattest] >= _STANDS_OUT:
            break
        del kept[flattest]
    return kept


def points_inside(polygon: Floats, points: Floats) -> NDArray[np.bool_]:
    edges = np.roll(polygon, -1, axis=0) - polygon
    offsets = points[:, None] - polygon
    sides = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    return np.asarray((sides >= -_EXACT).all(axis=1) | (sides <= _EXACT).all(axis=1))


def area_share(polygon: Floats, picture: Floats) -> float:
    return min(1.0, _area(polygon) / float(np.prod(picture[2])))


def relative_region(polygon: Floats, picture: Floats) -> Region:
    return tuple((x, y) for x, y in np.clip(polygon / picture[2], 0.0, 1.0).tolist())


def in_whole(places: Sequence[float], part: RelativeBox) -> list[float]:
    """Return a point or a box of a part of a picture, as one of the whole picture."""
    sides = (part[0], part[2]), (part[1], part[3])
    along = (sides[number % 2] for number in range(len(places)))
    return [
        round(start + place * (end - start), 4)
        for place, (start, end) in zip(places, along, strict=True)
    ]


def bounding_box(region: Region) -> RelativeBox:
    xs, ys = zip(*region, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _area(polygon: Floats) -> float:
    return float(cv2.contourArea(polygon.astype(np.float32)))
