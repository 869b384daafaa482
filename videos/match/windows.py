"""A few seconds of a proxy, decoded here: it is our own encoder's file, not a stranger's."""

from __future__ import annotations

from typing import IO

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Timed = tuple[int, NDArray[np.uint8]]
"""Presentation time in ms, picture height × width × 3."""


def read_window(file: IO[bytes], start_ms: int, end_ms: int) -> list[Timed]:
    """The frames of a proxy from the last one at or before ``start_ms`` to ``end_ms``, in order.

    Empty only if there are none at all. Raises ``av.error.FFmpegError`` for a damaged file.
    """
    found: list[Timed] = []
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
            # A proxy may begin later than it is asked for.
            if _ms(frame) > end_ms and found:
                break
            found.append(_timed(frame))
        if waiting is not None:
            found.append(_timed(waiting))
    return found


def _ms(frame: VideoFrame) -> int:
    return round((frame.time or 0.0) * 1000)


def _timed(frame: VideoFrame) -> Timed:
    return _ms(frame), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
