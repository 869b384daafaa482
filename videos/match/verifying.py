"""Is it really so, and when exactly? A match of vectors, proved on the pictures themselves.

Local features of a few matched frames say how the query shows the video: cropped, framed, turned
or mirrored. Laid upon the video's frames in that way, the query's frames are moved along them to
where they look most alike (``videos.match.alignment_refinement``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging import geometry, local_features
from gallery.imaging.geometry import Match
from gallery.imaging.local_features import Features
from videos.decode.frame_quality import Grey, grey
from videos.index.borders import Borders, Box
from videos.match.queries import QueryFrame
from videos.match.temporal_alignment import (
    Claim,
    Placed,
    Timed,
    as_alike,
    at_best_speed,
    closest,
    least_moved,
    look_of,
    place,
    sharpened,
    upon,
)

Pixels = NDArray[np.uint8]
PAIRS: Final = 3
"""Matched frames of a segment whose local features are compared."""

LONGEST: Final = 12.0
"""Seconds of a segment that are compared frame by frame."""

_PICTURE, _WHOLE = "picture", "whole"
"""What of a query's frame is compared: within its borders, or all of it."""

UNEDITED: Final = 0.9
"""Likeness from which on the query shows the whole frame as it is."""

_CROPS: Final = (0.05, 0.1, 0.15, 0.2)
"""Shares of a side by which queries are often cropped, the same at all four."""

_LOOKS: Final = 7
"""Frames of the window upon which an edited query is laid."""

_STEP: Final = 0.3
"""Seconds by which the moment found so may be wrong."""


@dataclass(frozen=True, slots=True)
class Proof:
    """``offset`` (seconds) and ``speed`` are exact. ``likeness``: mean correlation −1..1 of the
    pictures there.

    ``start``, ``end``: seconds from and to which the video looks as it does at ``offset``, for a
    query of one frame. ``shown``, 0..1: the share of the video's picture that the query shows.
    ``inliers``: of the pair of frames that agree best, 0 for none; ``proven``:
    how many of the ``compared`` pairs agree at all.
    """

    offset: float
    speed: float
    likeness: float = 0.0
    shown: float = 0.0
    inliers: int = 0
    proven: int = 0
    compared: int = 0
    mirrored: bool = False
    start: float | None = None
    end: float | None = None

    @property
    def certain(self) -> bool:
        """Whether the query shows the video's frame as it is, beyond doubt."""
        return self.likeness >= UNEDITED and self.inliers >= geometry.CERTAIN


class Verifier:
    """Verifies claims about one query; its frames' features are made once."""

    def __init__(self, frames: Sequence[QueryFrame]) -> None:
        self._frames = frames
        self._features = cache(self._extract)
        self._greys = cache(self._look)

    def window(self, claim: Claim) -> tuple[int, int]:
        """Ms of the video, first and last, that ``verify`` wants to see."""
        times = [self._frames[n].t / 1000 for n in self._stretch(claim)]
        ends = claim.offset + claim.speed * times[0], claim.offset + claim.speed * times[-1]
        return round((min(ends) - claim.reach) * 1000), round((max(ends) + claim.reach) * 1000)

    def verify(self, claim: Claim, window: Sequence[Timed]) -> Proof:
        """What the video's frames of ``window`` say of a claim, if the query shows them as they
        are, or cropped as queries mostly are."""
        if not window:
            return Proof(claim.offset, claim.speed)
        matches: list[Match | None] = []
        for number in claim.best[:PAIRS]:
            at = claim.offset + claim.speed * self._frames[number].t / 1000
            match = self._match(number, _nearest_timed(window, at)[1])
            matches.append(match)
            if match is not None and match.inliers >= geometry.CERTAIN:
                break
        agreed = [match for match in matches if match is not None]
        best = max(agreed, key=lambda match: match.inliers, default=None)
        placed = self._as_shown(claim, window)
        start, end = _alike(placed)
        return Proof(
            placed.offset,
            placed.speed,
            placed.likeness,
            placed.shown,
            best.inliers if best else 0,
            len(agreed),
            len(matches),
            best.mirrored if best else placed.mirrored,
            start,
            end,
        )

    def laid(self, claim: Claim, window: Sequence[Timed], proof: Proof) -> Proof:
        """What they say if the query is laid upon them as geometry found it, if that fits better
        than what ``verify`` said. Takes several times as long."""
        if not proof.proven or proof.likeness >= UNEDITED:
            return proof
        placed = self._laid(claim, window)
        if placed is None or placed.likeness <= proof.likeness:
            return proof
        start, end = _alike(placed)
        return replace(
            proof,
            offset=placed.offset,
            speed=placed.speed,
            likeness=placed.likeness,
            shown=placed.shown,
            start=start,
            end=end,
        )

    def _stretch(self, claim: Claim) -> list[int]:
        """The frames that are compared: of long segments the part in which most happens."""
        frames = list(claim.frames)
        times = np.array([self._frames[n].t / 1000 for n in frames])
        if times[-1] - times[0] <= LONGEST:
            return frames
        looks = [self._greys(n, _PICTURE) for n in frames]
        steps = [0.0, *(float(np.abs(a - b).mean()) for a, b in pairwise(looks))]
        so_far = np.cumsum(steps)
        ends = np.searchsorted(times, times + LONGEST, side="right") - 1
        first = int(np.argmax(so_far[ends] - so_far))
        return frames[first : ends[first] + 1]

    def _extract(self, number: int) -> Features:
        return local_features.extract(self._frames[number].picture)

    def _look(self, number: int, way: str) -> Grey:
        frame = self._frames[number]
        return grey(frame.picture if way == _PICTURE else frame.rgb)

    def _match(self, number: int, rgb: Pixels) -> Match | None:
        return geometry.verify(self._features(number), local_features.extract(rgb))

    def _as_shown(self, claim: Claim, window: Sequence[Timed]) -> Placed:
        """The query upon the middle of the video: all of it, within borders, or cropped evenly;
        mirrored or not."""
        numbers = self._stretch(claim)
        borders = Borders()
        for _, rgb in window:
            borders.add(rgb)
        height, width = window[0][1].shape[:2]
        inner = borders.box() or (0, 0, width, height)
        ways = [(_PICTURE, inner, 1.0)]
        if inner != (0, 0, width, height) or any(
            self._frames[n].picture.shape != self._frames[n].rgb.shape for n in numbers
        ):
            ways.append((_WHOLE, (0, 0, width, height), 1.0))
        ways += [(_PICTURE, _cropped(inner, share), (1 - 2 * share) ** 2) for share in _CROPS]
        found: list[Placed] = []
        for way, (left, top, right, bottom), shown in ways:
            theirs = [(t / 1000, look_of(rgb[top:bottom, left:right])) for t, rgb in window]
            ours = [(self._frames[n].t / 1000, self._greys(n, way)) for n in numbers]
            mirrored = [(t, small[:, ::-1]) for t, small in ours]
            found.append(replace(place(ours, theirs, claim, False), shown=shown))
            found.append(replace(place(mirrored, theirs, claim, True), shown=shown))
            if max(found[-1].likeness, found[-2].likeness) >= UNEDITED:
                break
        best = max(found, key=lambda placed: placed.likeness)
        return replace(at_best_speed(best, claim), shown=best.shown)

    def _laid(self, claim: Claim, window: Sequence[Timed]) -> Placed | None:
        """The query laid upon the video as geometry says; None if that fails.

        In a pan a cropped query fits upon every frame, each time moved by as much as the camera
        is. A crop keeps the middle where it is: the moment is when it has to be moved least.
        """
        number = claim.best[0]
        t = self._frames[number].t / 1000
        expected = claim.offset + claim.speed * t
        times = expected + np.linspace(-claim.reach, claim.reach, _LOOKS)
        found = {
            at: match
            for at, rgb in dict((_nearest_timed(window, at)) for at in times).items()
            if (match := self._match(number, rgb)) is not None
        }
        if not found:
            return None
        at, match = max(found.items(), key=lambda one: one[1].inliers)
        if match.border and not match.crop:
            # What is shown with its edges, as in a player, fits upon one moment alone.
            at, match = closest(self._frames[number], window, match, at)
        else:
            at, rgb = _nearest_timed(window, least_moved(found))
            again = self._match(number, rgb)
            if again is None:
                return None
            match = sharpened(self._frames[number].picture, rgb, again)
        laid = upon([self._frames[n] for n in self._stretch(claim)], window, match)
        if laid is None:
            return None
        moved = replace(claim, offset=at / 1000 - claim.speed * t, reach=min(claim.reach, _STEP))
        placed = at_best_speed(place(*laid, moved, match.mirrored), moved)
        return replace(placed, shown=match.candidate_area)


def _alike(placed: Placed) -> tuple[float | None, float | None]:
    """From and to when a query of one frame looks like the video; None for footage."""
    return as_alike(placed) if len(placed.ours) == 1 else (None, None)


def _nearest_timed(window: Sequence[Timed], seconds: float) -> Timed:
    return min(window, key=lambda timed: abs(timed[0] / 1000 - seconds))


def _cropped(box: Box, share: float) -> Box:
    """Without ``share`` of its width and height at each side."""
    left, top, right, bottom = box
    across, down = round(share * (right - left)), round(share * (bottom - top))
    return left + across, top + down, right - across, bottom - down
