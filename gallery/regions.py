"""Convex regions of pictures: what one picture shows of another.

Lengths are in any one unit; a picture is given by its four corners, as ``corners_of`` lists them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.transforms import Floats, moved

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares 0..1 of a picture's width and height."""

Region = tuple[tuple[float, float], ...]
"""Corners x, y of a convex polygon (3 to 8) as shares 0..1 of a picture's width and height."""

_STANDS_OUT = 0.01


def corners_of(width: float, height: float) -> Floats:
    """4 × 2: the corners of a picture, clockwise from its top left."""
    return np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def shared(matrix: Floats, first: Floats, second: Floats) -> Floats:
    """Corners, n × 2 in the first picture, of the region that both show; nothing: 0 × 2.

    ``matrix`` leads from the first to the second."""
    back = moved(np.asarray(cv2.invertAffineTransform(matrix), np.float64), second)
    _, region = cv2.intersectConvexConvex(back.astype(np.float32), first.astype(np.float32))
    return np.empty((0, 2)) if region is None else region.reshape(-1, 2).astype(np.float64)


def true_corners(polygon: Floats) -> list[int]:
    """Which of a convex polygon's corners stand out from the line past them, by 0.01 or more.

    Two outlines that are nearly the same cross in places that are no corners to the eye."""
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


def inside(polygon: Floats, points: Floats) -> NDArray[np.bool_]:
    """Which points, n × 2, lie in a convex polygon."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    offsets = points[:, None] - polygon
    sides = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    return np.asarray((sides >= 0).all(axis=1) | (sides <= 0).all(axis=1))


def area_share(polygon: Floats, picture: Floats) -> float:
    """The polygon's area ÷ the picture's, 0..1."""
    share = cv2.contourArea(polygon.astype(np.float32)) / float(np.prod(picture[2]))
    return min(1.0, share)


def as_shares(polygon: Floats, picture: Floats) -> Region:
    """The polygon in shares of the picture's width and height."""
    return tuple((x, y) for x, y in np.clip(polygon / picture[2], 0.0, 1.0).tolist())


def bounds(region: Region) -> Box:
    """The smallest box around a region."""
    xs, ys = zip(*region, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
