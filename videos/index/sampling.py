"""A video's frames → spans: which pictures are stored, and for how long each was on the screen.

The frames come at about 4 a second. One at least every second is taken as a sample, and one after
each cut; a sample that looks like the picture before it only prolongs that one's span. So a static
shot is one row with exact times, and what is stored grows with what happens.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videos.decode.decoder_protocol import Frame
from videos.decode.frame_quality import (
    Grey,
    Kind,
    coarse,
    grey,
    kind,
    likeness,
)
from videos.index.borders import Borders, Box

SAMPLES_PER_SECOND: Final = 4.0
"""What ``spans`` expects of ``decoding.decode``. Cuts are found to a quarter of a second."""

_EVERY_MS: Final = 1000
_LONGEST_MS: Final = 30_000
"""Longer static shots are several spans, so that none stands for too much."""

_STEP_MS: Final = round(1000 / SAMPLES_PER_SECOND)

_SAME: Final = 0.9
"""Correlation of the coarse looks."""
_CUT: Final = 0.8
_CUT_FALL: Final = 0.2
"""Unlike photographs had a correlation of 0.36 at the 99th percentile of pairs, at most 0.75."""

_RECENT: Final = 5

_BORDERS_FROM: Final = 20
"""Spans whose frames tell borders from dark walls."""
_KNOWN_FROM: Final = 4
"""Frames from which on they are guessed at, to compare frames without them."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A stretch of a video in which the picture hardly changes.

    ``t0``, ``t1``: ms of the first and the last frame seen to look like ``rgb``, which is the one
    at ``t``, towards the middle; equal where the picture moves. ``rgb``: the whole frame; ``box``:
    what is left of it within borders that do not change, None if there are none. ``votes``: False
    for pictures that say nothing about which video they are from; they are kept for the timeline
    alone.
    """

    t0: int
    t1: int
    t: int
    rgb: NDArray[np.uint8]
    box: Box | None
    kind: Kind

    @property
    def votes(self) -> bool:
        return self.kind == "picture"

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The frame without its borders."""
        return _within(self.rgb, self.box)


@dataclass(slots=True, eq=False)
class _Open:
    """A span that may still grow, as long as its frames look like the first one, ``look``.

    The first frame may be untypical: still fading in, or with words on it that are gone soon.
    So the one that stands for the span, ``frame``, moves on as the span grows.
    """

    t0: int
    t1: int
    first: Frame
    look: Grey
    frame: Frame
    later: Frame

    def prolong(self, frame: Frame) -> None:
        """``frame`` looks like the span, too."""
        self.t1 = frame.t
        # Of frames at doubling distances the last but one: at a quarter to a half of the span.
        if frame.t - self.t0 >= 2 * (self.later.t - self.t0):
            self.frame, self.later = self.later, frame


def spans(frames: Iterable[Frame]) -> Iterator[Span]:
    """The spans of a whole video, in order, none overlapping the next.

    ``frames``: in order of time, 4 a second or fewer, all of one size. Some 20 frames are in
    memory at a time.
    """
    inside, waiting = _Inside(), list[_Open]()
    for done in _merged(frames, inside):
        waiting.append(done)
        if len(waiting) == _BORDERS_FROM:
            yield from _finished(waiting, inside.end())
            waiting = []
    yield from _finished(waiting, inside.end())


class _Inside:
    """What lies within the borders of a stretch, as far as they are known by now.

    Bars are alike in all frames, and would make the frames look alike.
    """

    def __init__(self) -> None:
        self._borders, self._count = Borders(), 0
        self._box: Box | None = None

    def add(self, rgb: NDArray[np.uint8]) -> bool:
        """One more frame of the stretch. Answers whether ``look`` sees something else now."""
        self._borders.add(rgb)
        self._count += 1
        if self._count < _KNOWN_FROM or self._count.bit_count() != 1:
            return False
        before, self._box = self._box, self._borders.box()
        return before != self._box

    def look(self, rgb: NDArray[np.uint8]) -> Grey:
        return coarse(grey(_within(rgb, self._box)))

    def end(self) -> Box | None:
        """The box of the stretch that ends here; the next one is seen in the same way at first."""
        # Too few frames to tell have the borders of those before them.
        box = self._borders.box() if self._count >= _KNOWN_FROM else self._box
        self._borders, self._count = Borders(), 0
        return box


class _Cuts:
    """Finds cuts: likeness to the frame before falls, and falls out of what is usual there.

    A flickering or fast scene has little likeness from frame to frame, all the time.
    """

    def __init__(self) -> None:
        self.previous: Grey | None = None
        self._recent: deque[float] = deque([1.0], maxlen=_RECENT)

    def between(self, small: Grey) -> bool:
        """Is there a cut between the last frame given and this one?"""
        if self.previous is None:
            self.previous = small
            return False
        alike = likeness(self.previous, small)
        usual = statistics.median(self._recent)
        self.previous = small
        self._recent.append(alike)
        return alike < min(_CUT, usual - _CUT_FALL)


def _merged(frames: Iterable[Frame], inside: _Inside) -> Iterator[_Open]:
    """The spans, each as soon as it has ended."""
    current: _Open | None = None
    missed: list[tuple[Frame, Grey]] = []
    cuts, last = _Cuts(), None
    for frame in frames:
        if inside.add(frame.rgb) and current is not None and last is not None:
            current.look, cuts.previous = inside.look(current.first.rgb), inside.look(last.rgb)
            missed = [(earlier, inside.look(earlier.rgb)) for earlier, _ in missed]
        small, before, last = inside.look(frame.rgb), last or frame, frame
        cut = cuts.between(small)
        if current is None:
            current = _Open(frame.t, frame.t, frame, small, frame, frame)
            continue
        if not missed:
            current.t1 = max(current.t1, _seen_until(before))
        if not cut and _continues(current, frame.t, small):
            current.prolong(frame)
            missed.clear()
        elif cut or _seen_until(frame) - current.t1 >= _EVERY_MS:
            began = _began([] if cut else missed, frame.t, small)
            yield current
            current = _Open(began, frame.t, frame, small, frame, frame)
            missed = []
        else:
            missed.append((frame, small))
    if current is not None:
        if not missed and last is not None:
            current.t1 = max(current.t1, _seen_until(last))
        yield current


def _seen_until(frame: Frame) -> int:
    """When a frame that stays is seen last; of one that moves on, when it is seen first."""
    return frame.until if frame.until - frame.t >= _STEP_MS else frame.t


def _continues(span: _Open, t: int, small: Grey) -> bool:
    return t - span.t0 <= _LONGEST_MS and likeness(span.look, small) >= _SAME


def _began(missed: list[tuple[Frame, Grey]], t: int, small: Grey) -> int:
    """When the picture began to look like this: back over the frames that no span has yet."""
    for earlier, other in reversed(missed):
        if likeness(other, small) < _SAME:
            break
        t = earlier.t
    return t


def _finished(waiting: list[_Open], box: Box | None) -> Iterator[Span]:
    for span in waiting:
        rgb = span.frame.rgb
        # A plain picture between bars has edges, and says as little as any other.
        seen = np.ascontiguousarray(_within(rgb, box))
        yield Span(span.t0, span.t1, span.frame.t, rgb, box, kind(seen, grey(seen)))


def _within(rgb: NDArray[np.uint8], box: Box | None) -> NDArray[np.uint8]:
    if box is None:
        return rgb
    left, top, right, bottom = box
    return rgb[top:bottom, left:right]


def rarity(lookalikes: ArrayLike) -> NDArray[np.float64]:
    """The weight 0..1 of each vote, from how many other stored frames look like its frame.

    Title cards, idents and studio backgrounds are in many videos and say little: 0 others give
    1, 2 give 1/2, 14 give 1/4.
    """
    return np.asarray(1.0 / np.log2(2.0 + np.asarray(lookalikes, float)), np.float64)


def spread(frames: Iterable[Frame], count: int = 64) -> list[Frame]:
    """At most ``count`` frames, evenly spread over all of them, of a query of unknown length.

    At most twice as many are in memory at a time.
    """
    kept: list[Frame] = []
    every = 1
    for index, frame in enumerate(frames):
        if index % every == 0:
            kept.append(frame)
        if len(kept) == 2 * count:
            kept, every = kept[::2], 2 * every
    if len(kept) <= count:
        return kept
    return [kept[at] for at in np.linspace(0, len(kept) - 1, count).round().astype(int)]
