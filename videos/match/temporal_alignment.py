"""Query and video side by side: at which offset and speed do their pictures look most alike?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gallery.imaging.geometry import Match
from videos.decode.frame_quality import Grey, grey, likeness
from videos.match.alignment_refinement import refined_offset
from videos.match.queries import QueryFrame

Pixels = NDArray[np.uint8]
Timed = tuple[int, Pixels]
"""ms of the video, picture."""

TimedGrey = tuple[float, Grey]
"""Seconds, look."""

REACH: Final = 1.5
"""Seconds by which a time found by stored vectors may be wrong."""

_ALIKE: Final = 0.02
"""Likeness less than the best by no more than this is the same to the eye."""

_AS_GOOD: Final = 0.005
"""Likeness less than another speed's by which a speed of 1 is still taken for the right one."""

_FEWEST_FOR_SPEED: Final = 6
"""Frames of the query."""

_STILL: Final = 0.01
"""Widths a second below which a camera stands still."""

_SMALLEST: Final = 16
"""Pixels a side of a shared region, below which nothing can be seen in it."""


_NEARBY_MS: Final = 600
"""About half of the time between the moments upon which a query is laid first."""

_SHARPENED: Final = 160
_ROUNDS: Final = 15
_CONVERGED: Final = 1e-3
_BLUR: Final = 1
"""Of the search for the exact transform: pixels of the long side, iterations, change of the
correlation, pixels that are averaged. More of these mix the page around a picture into its edges
and move them: 128 pixels averaged over 5 are off by 2 of 320, over 1 by 0.8."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What vectors say: the query frames that ``frames`` numbers, at their times, show the video
    at ``offset`` + ``speed`` × time, all in seconds, to within ``reach``. ``best``: those of them
    that match best."""

    offset: float
    speed: float
    frames: tuple[int, ...]
    best: tuple[int, ...]
    reach: float = REACH

    def is_part_of(self, other: Claim) -> bool:
        """Whether the other one is about at least half of these frames of the query."""
        return 2 * len({*self.frames} & {*other.frames}) >= len(self.frames)


@dataclass(frozen=True, slots=True)
class Placed:
    """Query and video looked at in one of several ways, and the offset that is best for it.
    ``shown``, 0..1: the share of the video's picture that the query shows by it."""

    offset: float
    speed: float
    likeness: float
    mirrored: bool
    ours: list[TimedGrey]
    theirs: list[TimedGrey]
    shown: float = 1.0


def place(
    ours: list[TimedGrey],
    theirs: list[TimedGrey],
    claim: Claim,
    mirrored: bool,
    speed: float | None = None,
) -> Placed:
    """``speed``: another one than the claim's, which holds for the middle of the query."""
    tried = claim.speed if speed is None else speed
    middle = (ours[0][0] + ours[-1][0]) / 2
    offset, alike = refined_offset(
        ours,
        theirs,
        speed=tried,
        offset=claim.offset + (claim.speed - tried) * middle,
        reach=claim.reach,
    )
    return Placed(offset, tried, alike, mirrored, ours, theirs)


def at_best_speed(placed: Placed, claim: Claim) -> Placed:
    """Vectors of slow footage say little about its speed: is it 1, or what its two ends say?"""
    ours, theirs, mirrored = placed.ours, placed.theirs, placed.mirrored
    if len(ours) < _FEWEST_FOR_SPEED:
        return placed
    third = len(ours) // 3
    ends = [place(part, theirs, claim, mirrored) for part in (ours[:third], ours[-third:])]
    times = [float(np.mean([t for t, _ in end.ours])) for end in ends]
    places = [end.offset + claim.speed * t for end, t in zip(ends, times, strict=True)]
    measured = (places[1] - places[0]) / max(times[1] - times[0], 1e-3)
    tried = [placed]
    if 0.4 <= measured <= 2.5:
        tried.append(place(ours, theirs, claim, mirrored, measured))
    best = max(tried, key=lambda one: one.likeness)
    plain = place(ours, theirs, claim, mirrored, 1.0)
    return plain if plain.likeness >= best.likeness - _AS_GOOD else best


def as_alike(placed: Placed) -> tuple[float, float]:
    """From and to when a still looks like the video without a break."""
    (_, small), times = placed.ours[0], [t for t, _ in placed.theirs]
    alike = [likeness(small, other) >= placed.likeness - _ALIKE for _, other in placed.theirs]
    first = last = int(np.abs(np.array(times) - placed.offset).argmin())
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(alike) and alike[last + 1]:
        last += 1
    return min(times[first], placed.offset), max(times[last], placed.offset)


def upon(
    frames: Sequence[QueryFrame], window: Sequence[Timed], match: Match
) -> tuple[list[TimedGrey], list[TimedGrey]] | None:
    """Query and video within what they share, the query laid upon the video; None if it is tiny."""
    width, height = match.candidate_size
    left, top, right, bottom = (
        round(share * side)
        for share, side in zip(match.candidate_box, (width, height, width, height), strict=True)
    )
    if right - left < _SMALLEST or bottom - top < _SMALLEST:
        return None
    cut: Callable[[Pixels], Grey] = lambda rgb: look_of(rgb[top:bottom, left:right])  # noqa: E731
    matrix = np.array(match.matrix)
    ours = [
        (frame.t / 1000, cut(np.asarray(cv2.warpAffine(frame.picture, matrix, (width, height)))))
        for frame in frames
    ]
    return ours, [(t / 1000, cut(rgb)) for t, rgb in window]


def sharpened(picture: Pixels, rgb: Pixels, match: Match) -> Match:
    """The match with a transform that lays the pictures upon one another more exactly.

    A few places that agree say where the query lies to some pixels; all pixels say it to a
    fraction of one. The match itself where that does not converge.
    """
    small, image = _reduced(rgb), _reduced(picture)
    down, query = _reduction(small, match.candidate_size), _reduction(image, match.query_size)
    # Between the reduced copies, and from the candidate to the query, as the search wants it.
    start = query @ np.linalg.inv(_square(match.matrix)) @ np.linalg.inv(down)
    whole = np.full(image.shape, 255, np.uint8)
    ends = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ROUNDS, _CONVERGED
    try:
        _, found = cv2.findTransformECC(
            small, image, start[:2].astype(np.float32), cv2.MOTION_AFFINE, ends, whole, _BLUR
        )
    except cv2.error:
        return match
    back = np.linalg.inv(np.linalg.inv(query) @ _square(found) @ down)
    (a, b, c), (d, e, f), _ = back.tolist()
    return replace(match, matrix=((a, b, c), (d, e, f)))


def _square(matrix: ArrayLike) -> NDArray[np.float64]:
    return np.vstack([np.asarray(matrix, np.float64), (0.0, 0.0, 1.0)])


def _reduction(small: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    """From a picture of ``size`` to its reduced copy; coordinates are those of pixels' middles."""
    x, y = small.shape[1] / size[0], small.shape[0] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _reduced(rgb: Pixels) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = min(1.0, _SHARPENED / max(width, height))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def laid_likeness(frame: QueryFrame, rgb: Pixels, match: Match) -> float:
    """How alike a query and a frame of the video are where the one lies upon the other, −1..1."""
    laid = upon([frame], [(0, rgb)], match)
    return likeness(laid[0][0][1], laid[1][0][1]) if laid else -1.0


def closest(frame: QueryFrame, window: Sequence[Timed], match: Match, at: int) -> tuple[int, Match]:
    """The moment around ``at`` ms, where ``match`` was found, upon which a query that shows the
    video's edges lies best, and how it lies there."""
    found = [
        (laid_likeness(frame, rgb, laid), t, laid)
        for t, rgb in window
        if abs(t - at) <= _NEARBY_MS
        for laid in [sharpened(frame.picture, rgb, match)]
    ]
    _, best, laid = max(found, key=lambda one: one[0])
    return best, laid


def look_of(rgb: Pixels) -> Grey:
    return grey(np.ascontiguousarray(rgb))


def least_moved(matches: Mapping[int, Match]) -> float:
    """The time in seconds, by ms of frames, at which the middles are nearest to one another."""
    times = np.array(sorted(matches)) / 1000
    moved = np.array([_moved(matches[at]) for at in sorted(matches)])
    least = int((moved**2).sum(axis=1).argmin())
    near = slice(max(0, least - 1), least + 2)
    times, moved = times[near], moved[near]
    if len(times) > 1:
        line = np.polyfit(times, moved, 1)
        pace = float((line[0] ** 2).sum())
        if pace >= _STILL**2:
            at = -float((line[0] * line[1]).sum()) / pace
            return float(np.clip(at, times.min(), times.max()))
    return float(times[np.argmin((moved**2).sum(axis=1))])


def _moved(match: Match) -> tuple[float, float]:
    """Where the query's middle lies upon the video, from its middle, in units of its width."""
    width, height = match.query_size
    x, y = np.array(match.matrix) @ (width / 2, height / 2, 1.0)
    across, down = match.candidate_size
    return (x - across / 2) / across, (y - down / 2) / across
