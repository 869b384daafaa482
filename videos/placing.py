"""Query and video side by side: at which offset and speed do their pictures look most alike?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.geometry import Match
from videos.looks import Grey, grey, likeness
from videos.queries import QueryFrame
from videos.refining import refined_offset

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


@dataclass(frozen=True, slots=True)
class Placed:
    """Query and video looked at in one of several ways, and the offset that is best for it."""

    offset: float
    speed: float
    likeness: float
    mirrored: bool
    ours: list[TimedGrey]
    theirs: list[TimedGrey]


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
