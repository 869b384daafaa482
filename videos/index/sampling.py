"""Divides a video's frames into spans: the pictures that are stored, and how long each was shown.

The frames come at about 4 a second. At least one a second is sampled, and one after each cut. A
sample that looks like the one before prolongs its span. So a static shot is one row with exact
times, and the number of rows grows with the changes in the video.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gallery.imaging.pixels import Box, Pixels, cropped
from videos.decode.decoder_protocol import DecodedFrame
from videos.decode.frame_quality import FrameKind, frame_kind
from videos.decode.thumbnails import Thumbnail, coarse_thumbnail, correlation, grey_thumbnail
from videos.index.borders import BorderDetector

SAMPLES_PER_SECOND: Final = 4.0
"""The rate of frames that ``find_spans`` expects. Cuts are found to a quarter of a second."""

_EVERY_MS: Final = 1000
_LONGEST_MS: Final = 30_000
"""Longer static shots are divided into several spans."""

_STEP_MS: Final = round(1000 / SAMPLES_PER_SECOND)
_SAME: Final = 0.9
"""Least correlation of coarse thumbnails of frames that look alike."""

_CUT: Final = 0.8
_CUT_FALL: Final = 0.2
"""A cut: the correlation is below the first, and below the recent median by the second. Pairs of
different photographs had 0.36 at the 99th percentile, at most 0.75."""

_RECENT: Final = 5
_BORDERS_FROM: Final = 20
"""Number of spans from whose frames borders are found."""

_KNOWN_FROM: Final = 4
"""Least number of frames to estimate borders, so that frames are compared without them."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A part of a video in which the picture hardly changes.

    ``rgb``: the whole frame at ``t``, towards the middle. ``t0``, ``t1``: ms of the first and the
    last frame that look like it; equal where the picture moves. ``box``: the part within borders,
    None if there are none. ``votes``: False for pictures that do not identify a video; they are
    stored for the timeline only.
    """

    t0: int
    t1: int
    t: int
    rgb: Pixels
    box: Box | None
    kind: FrameKind

    @property
    def votes(self) -> bool:
        return self.kind == "picture"

    @property
    def picture(self) -> Pixels:
        return cropped(self.rgb, self.box)


def find_spans(frames: Iterable[DecodedFrame]) -> Iterator[Span]:
    """Yield the spans of a whole video, in order, without overlaps.

    ``frames``: in order of time, at most 4 a second, all of one size. About 20 are in memory at a
    time.
    """
    inside, waiting = _BorderTracker(), list[_GrowingSpan]()
    for done in _growing_spans(frames, inside):
        waiting.append(done)
        if len(waiting) == _BORDERS_FROM:
            yield from _finish(waiting, inside.end())
            waiting = []
    yield from _finish(waiting, inside.end())


def rarity_weights(lookalikes: ArrayLike) -> NDArray[np.float64]:
    """Return the weight 0..1 of each frame's vote, from its number of look-alikes in other videos.

    Title cards, idents and studio backgrounds are in many videos and identify none: 0 look-alikes
    give 1, 2 give 1/2, 14 give 1/4.
    """
    return np.asarray(1.0 / np.log2(2.0 + np.asarray(lookalikes, float)), np.float64)


def spread_frames(frames: Iterable[DecodedFrame], count: int = 64) -> list[DecodedFrame]:
    """Return at most ``count`` frames, evenly spread over any number of frames.

    At most twice as many are in memory at a time.
    """
    kept: list[DecodedFrame] = []
    every = 1
    for index, frame in enumerate(frames):
        if index % every == 0:
            kept.append(frame)
        if len(kept) == 2 * count:
            kept, every = kept[::2], 2 * every
    if len(kept) <= count:
        return kept
    return [kept[at] for at in np.linspace(0, len(kept) - 1, count).round().astype(int)]


@dataclass(slots=True, eq=False)
class _GrowingSpan:
    """A span that grows as long as frames look like its first one, whose thumbnail is ``look``.

    The first frame may be untypical: still fading in, or with titles. So ``frame``, which
    represents the span, moves on as the span grows.
    """

    t0: int
    t1: int
    first: DecodedFrame
    look: Thumbnail
    frame: DecodedFrame
    later: DecodedFrame

    def prolong(self, frame: DecodedFrame) -> None:
        self.t1 = frame.t
        # The last but one frame at doubling distances is at a quarter to a half of the span.
        if frame.t - self.t0 >= 2 * (self.later.t - self.t0):
            self.frame, self.later = self.later, frame


class _BorderTracker:
    """Estimates the borders of the current spans, to compare frames without them.

    Borders are the same in all frames, which would raise the correlation of different frames.
    """

    def __init__(self) -> None:
        self._borders, self._count = BorderDetector(), 0
        self._box: Box | None = None

    def add(self, rgb: Pixels) -> bool:
        """Add a frame. Returns whether the estimated box has changed."""
        self._borders.add(rgb)
        self._count += 1
        if self._count < _KNOWN_FROM or self._count.bit_count() != 1:
            return False
        before, self._box = self._box, self._borders.box()
        return before != self._box

    def look(self, rgb: Pixels) -> Thumbnail:
        return coarse_thumbnail(grey_thumbnail(cropped(rgb, self._box)))

    def end(self) -> Box | None:
        """End the current spans. Return their box, also the first estimate for the next."""
        # With too few frames the earlier estimate is kept.
        box = self._borders.box() if self._count >= _KNOWN_FROM else self._box
        self._borders, self._count = BorderDetector(), 0
        return box


class _CutDetector:
    """Finds cuts: the correlation with the frame before is low, and lower than just before.

    In a flickering or fast scene it is low all the time.
    """

    def __init__(self) -> None:
        self.previous: Thumbnail | None = None
        self._recent: deque[float] = deque([1.0], maxlen=_RECENT)

    def between(self, small: Thumbnail) -> bool:
        if self.previous is None:
            self.previous = small
            return False
        alike = correlation(self.previous, small)
        usual = statistics.median(self._recent)
        self.previous = small
        self._recent.append(alike)
        return alike < min(_CUT, usual - _CUT_FALL)


def _growing_spans(
    frames: Iterable[DecodedFrame], inside: _BorderTracker
) -> Iterator[_GrowingSpan]:
    """Yield each span when it has ended."""
    current: _GrowingSpan | None = None
    missed: list[tuple[DecodedFrame, Thumbnail]] = []
    cuts, last = _CutDetector(), None
    for frame in frames:
        if inside.add(frame.rgb) and current is not None and last is not None:
            current.look, cuts.previous = inside.look(current.first.rgb), inside.look(last.rgb)
            missed = [(earlier, inside.look(earlier.rgb)) for earlier, _ in missed]
        small, before, last = inside.look(frame.rgb), last or frame, frame
        cut = cuts.between(small)
        if current is None:
            current = _GrowingSpan(frame.t, frame.t, frame, small, frame, frame)
            continue
        if not missed:
            current.t1 = max(current.t1, _seen_until(before))
        if not cut and _continues(current, frame.t, small):
            current.prolong(frame)
            missed.clear()
        elif cut or _seen_until(frame) - current.t1 >= _EVERY_MS:
            began = _start_of([] if cut else missed, frame.t, small)
            yield current
            current = _GrowingSpan(began, frame.t, frame, small, frame, frame)
            missed = []
        else:
            missed.append((frame, small))
    if current is not None:
        if not missed and last is not None:
            current.t1 = max(current.t1, _seen_until(last))
        yield current


def _seen_until(frame: DecodedFrame) -> int:
    """Return the end of a frame that is shown for long, the beginning of any other."""
    return frame.until if frame.until - frame.t >= _STEP_MS else frame.t


def _continues(span: _GrowingSpan, t: int, small: Thumbnail) -> bool:
    return t - span.t0 <= _LONGEST_MS and correlation(span.look, small) >= _SAME


def _start_of(missed: list[tuple[DecodedFrame, Thumbnail]], t: int, small: Thumbnail) -> int:
    """Return when the picture began to look like this, among the frames that no span has yet."""
    for earlier, other in reversed(missed):
        if correlation(other, small) < _SAME:
            break
        t = earlier.t
    return t


def _finish(waiting: list[_GrowingSpan], box: Box | None) -> Iterator[Span]:
    for span in waiting:
        rgb = span.frame.rgb
        # Borders are cut off, because a plain picture within borders identifies nothing.
        seen = np.ascontiguousarray(cropped(rgb, box))
        yield Span(span.t0, span.t1, span.frame.t, rgb, box, frame_kind(seen, grey_thumbnail(seen)))
