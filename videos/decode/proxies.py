"""A small copy of a video, made by us while it is indexed: what the service looks at again later.

It has the times of the original to the millisecond, eight frames a second at most, and a key frame
every two seconds, so that any moment is decoded in a few milliseconds.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from types import TracebackType
from typing import IO, Final

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videos.decode.cuts import Cuts
from videos.decode.decoder_protocol import Due, Frame
from videos.decode.frame_quality import coarse, grey

FRAMES_PER_SECOND: Final = 8.0
"""Twice as many as are sampled: so the samples are those that would be decoded alone. What is shown
between them and looks unlike them is there as well."""
_STEP_MS: Final = round(1000 / FRAMES_PER_SECOND)
HEIGHT: Final = 160
KEY_FRAME_MS: Final = 2000

_WIDEST: Final = 1024
_SMALLEST: Final = 16
"""Pixels a side below which encoders refuse."""

_CLOCK: Final = Fraction(1, 1000)
_OPTIONS: Final = {"preset": "veryfast", "crf": "28", "threads": "1", "bf": "0"}


class Copied:
    """Which frames go into the copy: those of a grid of ``fps`` a second, and what looks unlike."""

    def __init__(self, fps: float, phase: float) -> None:
        self._due, self._cuts = Due(fps, 0, phase), Cuts()

    def take(self, frame: Frame) -> bool:
        """To be asked of each frame once, in order."""
        due = self._due.take(frame.t, frame.until)
        return self._cuts.deliver(frame.t, coarse(grey(frame.rgb)), due)


class ProxyWriter:
    """Writes an H.264 MP4 to a file that can be sought in, as a context manager.

    The file is complete when the block is left without an error.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._container: OutputContainer = av.open(file, "w", format="mp4")
        self._stream: VideoStream | None = None
        self._key_frame_due = 0

    def __enter__(self) -> ProxyWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None and self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, t: int, until: int, rgb: NDArray[np.uint8]) -> None:
        """One more frame, uint8 height × width × 3, on the screen from ``t`` to ``until`` ms.

        ``t`` increases. What is held for long is repeated, which takes a few bytes: whoever
        compares moments finds some within it, and the last one at its end.
        """
        if self._stream is None:
            self._stream = _stream(self._container, rgb)
        size = self._stream.width, self._stream.height
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        times = [t]
        if until - t >= 2 * _STEP_MS:
            times += [*range(t + _STEP_MS, until - _STEP_MS, _STEP_MS), until - 1]
        for at, following in pairwise([*times, until]):
            self._encode(self._stream, at, following - at, small)

    def _encode(self, stream: VideoStream, t: int, lasts: int, small: NDArray[np.uint8]) -> None:
        frame = av.VideoFrame.from_ndarray(small, format="rgb24")
        frame.time_base, frame.pts, frame.duration = _CLOCK, t, lasts
        if t >= self._key_frame_due:
            frame.pict_type = PictureType.I
            self._key_frame_due = t + KEY_FRAME_MS
        self._container.mux(stream.encode(frame))


def _stream(container: OutputContainer, rgb: NDArray[np.uint8]) -> VideoStream:
    stream = container.add_stream("libx264", rate=round(FRAMES_PER_SECOND), options=_OPTIONS)
    stream.width, stream.height = _size(*rgb.shape[1::-1])
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _CLOCK
    return stream


def _size(width: int, height: int) -> tuple[int, int]:
    """Reduced, never enlarged, to even sides: half the pixels carry colour."""
    scale = min(1.0, HEIGHT / height, _WIDEST / width)
    even = (2 * round(side * scale / 2) for side in (width, height))
    return (max(_SMALLEST, next(even)), max(_SMALLEST, next(even)))
