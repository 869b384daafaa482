"""Warps query frames onto a video's frames as geometry found, and measures the correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.pixels import Pixels, fitted
from gallery.imaging.transforms import as_3x3
from videos.decode.proxies import TimedPicture
from videos.decode.thumbnails import Thumbnail, correlation, grey_thumbnail
from videos.match.queries import QueryFrame
from videos.match.temporal_alignment import TimedThumbnail

_SMALLEST: Final = 16
"""Pixels a side below which a shared region is too small to compare."""

_STILL: Final = 0.01
"""Picture widths a second below which the camera counts as still."""

_NEARBY_MS: Final = 600
"""About half of the time between the frames that are compared first."""

_ECC_LONG_SIDE: Final = 160
_ECC_ITERATIONS: Final = 15
_ECC_EPSILON: Final = 1e-3
_ECC_FILTER: Final = 1
"""For the search of the exact transform: pixels of the long side, iterations, least change of the
correlation, pixels of the averaging filter. A wider filter mixes the page around a picture into its
edges and moves them: 128 pixels averaged over 5 are off by 2 of 320, over 1 by 0.8."""


def registered_thumbnails(
    frames: Sequence[QueryFrame], window: Sequence[TimedPicture], match: GeometricMatch
) -> tuple[list[TimedThumbnail], list[TimedThumbnail]] | None:
    """Cut query and video to the region they share, the query warped onto the video.

    None if the region is tiny.
    """
    width, height = match.candidate_size
    left, top, right, bottom = (
        round(share * side)
        for share, side in zip(match.candidate_box, (width, height, width, height), strict=True)
    )
    if right - left < _SMALLEST or bottom - top < _SMALLEST:
        return None

    def cut(rgb: Pixels) -> Thumbnail:
        return grey_thumbnail(rgb[top:bottom, left:right])

    matrix = np.array(match.matrix)
    query = [
        (frame.t / 1000, cut(np.asarray(cv2.warpAffine(frame.picture, matrix, (width, height)))))
        for frame in frames
    ]
    return query, [(t / 1000, cut(rgb)) for t, rgb in window]


def registered_correlation(frame: QueryFrame, rgb: Pixels, match: GeometricMatch) -> float:
    """Return the correlation −1..1 after warping the query frame; −1 if they share little."""
    found = registered_thumbnails([frame], [(0, rgb)], match)
    return correlation(found[0][0][1], found[1][0][1]) if found else -1.0


def refine_registration(picture: Pixels, rgb: Pixels, match: GeometricMatch) -> GeometricMatch:
    """Refine the match's transform on all pixels; return it unchanged where that does not converge.

    A few key points place the query to within some pixels, all pixels to a fraction of one.
    """
    small, image = _reduced(rgb), _reduced(picture)
    down, query = _reduction(small, match.candidate_size), _reduction(image, match.query_size)
    # From the reduced candidate to the reduced query, as OpenCV expects it.
    start = query @ np.linalg.inv(as_3x3(match.matrix)) @ np.linalg.inv(down)
    whole = np.full(image.shape, 255, np.uint8)
    ends = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ECC_ITERATIONS, _ECC_EPSILON
    try:
        _, found = cv2.findTransformECC(
            small, image, start[:2].astype(np.float32), cv2.MOTION_AFFINE, ends, whole, _ECC_FILTER
        )
    except cv2.error:
        return match
    back = np.linalg.inv(np.linalg.inv(query) @ as_3x3(found) @ down)
    (a, b, c), (d, e, f), _ = back.tolist()
    return replace(match, matrix=((a, b, c), (d, e, f)))


def closest_moment(
    frame: QueryFrame, window: Sequence[TimedPicture], match: GeometricMatch, at: int
) -> tuple[int, GeometricMatch]:
    """Return the moment (ms) near ``at`` with which the query correlates best, and the match there.

    For a query that shows the video's edges. ``match``: as found at ``at`` ms.
    """
    found = [
        (registered_correlation(frame, rgb, refined), t, refined)
        for t, rgb in window
        if abs(t - at) <= _NEARBY_MS
        for refined in [refine_registration(frame.picture, rgb, match)]
    ]
    _, best, refined = max(found, key=lambda one: one[0])
    return best, refined


def time_of_least_shift(matches: Mapping[int, GeometricMatch]) -> float:
    """Return the time in seconds at which the query's middle is nearest to the video's.

    ``matches``: by the ms of the video's frames. Between frames the shift is taken as linear.
    """
    times = np.array(sorted(matches)) / 1000
    shifts = np.array([_shift(matches[at]) for at in sorted(matches)])
    least = int((shifts**2).sum(axis=1).argmin())
    near = slice(max(0, least - 1), least + 2)
    times, shifts = times[near], shifts[near]
    if len(times) > 1:
        line = np.polyfit(times, shifts, 1)
        pace = float((line[0] ** 2).sum())
        if pace >= _STILL**2:
            at = -float((line[0] * line[1]).sum()) / pace
            return float(np.clip(at, times.min(), times.max()))
    return float(times[np.argmin((shifts**2).sum(axis=1))])


def _shift(match: GeometricMatch) -> tuple[float, float]:
    """Return the shift from the video's middle to the query's, in units of the video's width."""
    width, height = match.query_size
    x, y = np.array(match.matrix) @ (width / 2, height / 2, 1.0)
    across, down = match.candidate_size
    return (x - across / 2) / across, (y - down / 2) / across


def _reduction(small: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    """3 × 3, from a picture of ``size`` to its reduced copy; coordinates of pixel centres."""
    x, y = small.shape[1] / size[0], small.shape[0] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _reduced(rgb: Pixels) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(fitted(rgb, _ECC_LONG_SIDE), cv2.COLOR_RGB2GRAY), np.uint8)
