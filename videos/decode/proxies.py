"""Writes and reads proxies: small copies of videos, written by indexing and read by searches.

A proxy keeps the times of the original to the millisecond. It has about eight frames a second and a
key frame every two seconds, so that any moment is decoded in a few milliseconds.
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
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videos.decode.decoder_protocol import DecodedFrame, TimeGrid
from videos.decode.frame_novelty import NoveltyFilter
from videos.decode.thumbnails import coarse_thumbnail, grey_thumbnail

FRAMES_PER_SECOND: Final = 8.0
"""Twice the rate of the samples, so that it includes them. Frames between that differ are added."""
_STEP_MS: Final = round(1000 / FRAMES_PER_SECOND)
HEIGHT: Final = 160
KEY_FRAME_MS: Final = 2000

_WIDEST: Final = 1024
_SMALLEST: Final = 16
"""Least pixels of a side; encoders refuse less."""

_CLOCK: Final = Fraction(1, 1000)
_OPTIONS: Final = {"preset": "veryfast", "crf": "28", "threads": "1", "bf": "0"}


class ProxySampler:
    """Selects the frames of a proxy: those of a ``TimeGrid``, and others that differ from them."""

    def __init__(self, fps: float, phase: float) -> None:
        self._due, self._cuts = TimeGrid(fps, 0, phase), NoveltyFilter()

    def take(self, frame: DecodedFrame) -> bool:
        """Return whether the frame is selected. Call it once for each frame, in order."""
        due = self._due.take(frame.t, frame.until)
        return self._cuts.deliver(frame.t, coarse_thumbnail(grey_thumbnail(frame.rgb)), due)


class ProxyWriter:
    """A context manager that writes an H.264 MP4 to a seekable file.

    The file is complete when the block ends without an error. ``height``: of its pictures, in
    pixels, at most.
    """

    def __init__(self, file: IO[bytes], height: int = HEIGHT) -> None:
        self._height = height
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
        """Add a frame, uint8 height × width × 3, on the screen from ``t`` to ``until`` ms.

        ``t`` increases. A frame shown for long is repeated, which takes a few bytes, so that
        searches find moments within it and at its end.
        """
        if self._stream is None:
            high, wide = rgb.shape[:2]
            self._stream = _stream(self._container, *_size(wide, high, self._height))
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


def _stream(container: OutputContainer, width: int, height: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=round(FRAMES_PER_SECOND), options=_OPTIONS)
    stream.width, stream.height = width, height
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _CLOCK
    return stream


def _size(width: int, height: int, highest: int) -> tuple[int, int]:
    """Reduce, never enlarge, to even sides, as yuv420p needs."""
    scale = min(1.0, highest / height, _WIDEST / width)
    even = (2 * round(side * scale / 2) for side in (width, height))
    return (max(_SMALLEST, next(even)), max(_SMALLEST, next(even)))


TimedPicture = tuple[int, NDArray[np.uint8]]
"""Presentation time in ms, picture height × width × 3."""


def read_window(file: IO[bytes], start_ms: int, end_ms: int) -> list[TimedPicture]:
    """Return the frames of a proxy from the last one at or before ``start_ms`` to ``end_ms``, in
    order.

    Empty only if the proxy has none. Raises ``av.error.FFmpegError`` for a damaged file.
    """
    found: list[TimedPicture] = []
    with av.open(file, "r", format="mov") as container:
        stream = container.streams.video[0]
        container.seek(max(0, start_ms) * 1000)
        waiting: VideoFrame | None = None
        for frame in container.decode(stream):
            if _ms(frame) <= start_ms:
                waiting = frame
                continue
            if waiting is not None:
                found.append(_timed(waiting))
                waiting = None
            # A proxy may begin after ``end_ms``.
            if _ms(frame) > end_ms and found:
                break
            found.append(_timed(frame))
        if waiting is not None:
            found.append(_timed(waiting))
    return found


def _ms(frame: VideoFrame) -> int:
    return round((frame.time or 0.0) * 1000)


def _timed(frame: VideoFrame) -> TimedPicture:
    return _ms(frame), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
