"""Verifies on the pictures what stored vectors suggest, and finds the exact time.

Local features of a few matched frames tell how the query shows the video: cropped, framed, turned
or mirrored. The query's frames are warped accordingly (``spatial_alignment``) and moved in time to
where they correlate best with the video's (``temporal_alignment``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np

from gallery.imaging import geometry, local_features
from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.image_registration import Registration
from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.pixels import Box, Pixels, cropped
from gallery.search.confidence import CopyEvidence, certainty, distance_of, logit
from videos.decode.proxies import TimedPicture
from videos.decode.thumbnails import Thumbnail, grey_thumbnail
from videos.index.borders import BorderDetector
from videos.match.queries import QueryFrame
from videos.match.spatial_alignment import (
    closest_moment,
    refine_registration,
    registered_thumbnails,
    time_of_least_shift,
)
from videos.match.temporal_alignment import (
    Alignment,
    ExpectedAlignment,
    align_frames,
    matching_interval,
    with_best_speed,
)

MAX_COMPARED_PAIRS: Final = 3
"""Matched frames of a segment whose local features are compared."""

MAX_COMPARED_SECONDS: Final = 12.0
"""Seconds of a segment that are compared frame by frame."""

_PICTURE, _WHOLE = "picture", "whole"
"""Which part of a query frame is compared: without its borders, or all of it."""

UNEDITED_CORRELATION: Final = 0.9
"""Least correlation of a query that shows the whole frame unedited."""

_CROPS: Final = (0.05, 0.1, 0.15, 0.2)
"""Shares of a side by which queries are often cropped, the same at all four."""

_WINDOW_FRAMES: Final = 7
"""Frames of the window with which an edited query is compared."""

_STEP: Final = 0.3
"""Seconds by which the moment found among them may be wrong."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The exact ``offset`` (seconds) and ``speed``, and how well the pictures agree there.

    ``correlation``: mean, −1..1. ``shown``, 0..1: the share of the video's picture that the query
    shows. ``inliers``: of the best of the ``compared`` pairs of frames, 0 for none; ``proven``:
    number of pairs with inliers. ``start``, ``end``: for a query of one frame, the seconds between
    which the video looks as it does at ``offset``.
    """

    offset: float
    speed: float
    correlation: float = 0.0
    shown: float = 0.0
    inliers: int = 0
    proven: int = 0
    compared: int = 0
    mirrored: bool = False
    start: float | None = None
    end: float | None = None
    copy: float = 0.0

    @property
    def certain(self) -> bool:
        """Whether the query certainly shows the video's frame."""
        return self.correlation >= UNEDITED_CORRELATION and (
            self.inliers >= geometry.CERTAIN_INLIERS
            or certainty(distance_of(self.copy), "copy") == "sure"
        )


class Verifier:
    """Verifies candidates for one query; computes the features of its frames once."""

    def __init__(self, frames: Sequence[QueryFrame]) -> None:
        self._frames = frames
        self._features = cache(self._extract)
        self._registrations = cache(lambda number: Registration(frames[number].picture))
        self._thumbnails = cache(self._thumbnail)

    def window(self, expected: ExpectedAlignment) -> tuple[int, int]:
        """Return first and last ms of the video that ``verify`` needs."""
        numbers = self._stretch(expected)
        times = (self._frames[n].t / 1000 for n in (numbers[0], numbers[-1]))
        ends = [expected.offset + expected.speed * t for t in times]
        first, last = min(ends) - expected.reach, max(ends) + expected.reach
        return round(first * 1000), round(last * 1000)

    def verify(self, expected: ExpectedAlignment, window: Sequence[TimedPicture]) -> Verification:
        """Compare with the video's frames, unedited and with the usual even crops."""
        if not window:
            return Verification(expected.offset, expected.speed)
        alignment = self._unregistered(expected, window)
        matches: list[GeometricMatch | None] = []
        for number in expected.best[:MAX_COMPARED_PAIRS]:
            at = expected.offset + expected.speed * self._frames[number].t / 1000
            match = self._match(number, _nearest_timed(window, at)[1])
            matches.append(match)
            if match is not None and match.inliers >= geometry.CERTAIN_INLIERS:
                break
        agreed = [match for match in matches if match is not None]
        best = max(agreed, key=lambda match: match.inliers, default=None)
        start, end = _interval_of_still(alignment)
        verification = Verification(
            alignment.offset,
            alignment.speed,
            alignment.correlation,
            alignment.shown,
            best.inliers if best else 0,
            len(agreed),
            len(matches),
            best.mirrored if best else alignment.mirrored,
            start,
            end,
        )
        return self._compared_as_pictures(expected, window, verification)

    def verify_registered(
        self,
        expected: ExpectedAlignment,
        window: Sequence[TimedPicture],
        verification: Verification,
    ) -> Verification:
        """Return the result of warping the query as geometry found, if that correlates better than
        what ``verify`` returned. Takes several times as long."""
        if not verification.proven or verification.correlation >= UNEDITED_CORRELATION:
            return verification
        alignment = self._registered(expected, window)
        if alignment is None or alignment.correlation <= verification.correlation:
            return verification
        start, end = _interval_of_still(alignment)
        verification = replace(
            verification,
            offset=alignment.offset,
            speed=alignment.speed,
            correlation=alignment.correlation,
            shown=alignment.shown,
            start=start,
            end=end,
        )
        return self._compared_as_pictures(expected, window, verification)

    def _compared_as_pictures(
        self,
        expected: ExpectedAlignment,
        window: Sequence[TimedPicture],
        verification: Verification,
    ) -> Verification:
        """Compare a still with the picture at the moment found, as images are compared."""
        if len(self._frames) > 1:
            return verification
        number = expected.best[0]
        _, rgb = _nearest_timed(window, verification.offset)
        match = self._match(number, rgb)
        similarity = self._registrations(number).compare(rgb, match)
        odds = logit(CopyEvidence(match=match, similarity=similarity), "copy")
        inliers = max(verification.inliers, match.inliers if match else 0)
        return replace(
            verification,
            copy=max(verification.copy, odds),
            inliers=inliers,
            proven=max(verification.proven, int(match is not None)),
        )

    def _stretch(self, expected: ExpectedAlignment) -> list[int]:
        """Return the query frames that are compared: of long segments the part with most change."""
        frames = list(expected.frames)
        times = np.array([self._frames[n].t / 1000 for n in frames])
        if times[-1] - times[0] <= MAX_COMPARED_SECONDS:
            return frames
        thumbnails = [self._thumbnails(n, _PICTURE) for n in frames]
        steps = [0.0, *(float(np.abs(a - b).mean()) for a, b in pairwise(thumbnails))]
        so_far = np.cumsum(steps)
        ends = np.searchsorted(times, times + MAX_COMPARED_SECONDS, side="right") - 1
        first = int(np.argmax(so_far[ends] - so_far))
        return frames[first : ends[first] + 1]

    def _extract(self, number: int) -> LocalFeatures:
        return local_features.extract(self._frames[number].picture)

    def _thumbnail(self, number: int, part: str) -> Thumbnail:
        frame = self._frames[number]
        return grey_thumbnail(frame.picture if part == _PICTURE else frame.rgb)

    def _match(self, number: int, rgb: Pixels) -> GeometricMatch | None:
        return geometry.verify(self._features(number), local_features.extract(rgb))

    def _unregistered(
        self, expected: ExpectedAlignment, window: Sequence[TimedPicture]
    ) -> Alignment:
        """Return the best of: the query as the whole frame, without borders, or as an even crop of
        it; each as it is and mirrored."""
        numbers = self._stretch(expected)
        borders = BorderDetector()
        for _, rgb in window:
            borders.add(rgb)
        height, width = window[0][1].shape[:2]
        inner = borders.box() or (0, 0, width, height)
        variants = [(_PICTURE, inner, 1.0)]
        if inner != (0, 0, width, height) or any(
            self._frames[n].picture.shape != self._frames[n].rgb.shape for n in numbers
        ):
            variants.append((_WHOLE, (0, 0, width, height), 1.0))
        variants += [(_PICTURE, _even_crop(inner, share), (1 - 2 * share) ** 2) for share in _CROPS]
        found: list[Alignment] = []
        for part, box, shown in variants:
            video = [(t / 1000, grey_thumbnail(cropped(rgb, box))) for t, rgb in window]
            query = [(self._frames[n].t / 1000, self._thumbnails(n, part)) for n in numbers]
            mirrored = [(t, small[:, ::-1]) for t, small in query]
            found.append(replace(align_frames(query, video, expected, False), shown=shown))
            found.append(replace(align_frames(mirrored, video, expected, True), shown=shown))
            if max(found[-1].correlation, found[-2].correlation) >= UNEDITED_CORRELATION:
                break
        best = max(found, key=lambda alignment: alignment.correlation)
        return replace(with_best_speed(best, expected), shown=best.shown)

    def _registered(
        self, expected: ExpectedAlignment, window: Sequence[TimedPicture]
    ) -> Alignment | None:
        """Warp the query onto the video as geometry found; None if that fails.

        While the camera pans, a cropped query matches every frame, shifted as the camera moved.
        Most crops keep the middle, so the moment with the least shift is the right one.
        """
        number = expected.best[0]
        t = self._frames[number].t / 1000
        moment = expected.offset + expected.speed * t
        times = moment + np.linspace(-expected.reach, expected.reach, _WINDOW_FRAMES)
        found = {
            at: match
            for at, rgb in dict((_nearest_timed(window, at)) for at in times).items()
            if (match := self._match(number, rgb)) is not None
        }
        if not found:
            return None
        at, match = max(found.items(), key=lambda one: one[1].inliers)
        if match.border and not match.crop:
            # A frame shown with its edges, as in a player, matches one moment only.
            at, match = closest_moment(self._frames[number], window, match, at)
        else:
            at, rgb = _nearest_timed(window, time_of_least_shift(found))
            again = self._match(number, rgb)
            if again is None:
                return None
            match = refine_registration(self._frames[number].picture, rgb, again)
        warped = registered_thumbnails(
            [self._frames[n] for n in self._stretch(expected)], window, match
        )
        if warped is None:
            return None
        offset, reach = at / 1000 - expected.speed * t, min(expected.reach, _STEP)
        moved = replace(expected, offset=offset, reach=reach)
        alignment = with_best_speed(align_frames(*warped, moved, match.mirrored), moved)
        return replace(alignment, shown=match.candidate_area)


def _interval_of_still(alignment: Alignment) -> tuple[float | None, float | None]:
    return matching_interval(alignment) if len(alignment.query) == 1 else (None, None)


def _nearest_timed(window: Sequence[TimedPicture], seconds: float) -> TimedPicture:
    return min(window, key=lambda timed: abs(timed[0] / 1000 - seconds))


def _even_crop(box: Box, share: float) -> Box:
    left, top, right, bottom = box
    across, down = round(share * (right - left)), round(share * (bottom - top))
    return left + across, top + down, right - across, bottom - down
