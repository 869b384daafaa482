"""Finds frames between the points of a ``TimeGrid`` that differ from the last frame delivered.

They are compared by thumbnails made from a sample of the stored luma, which costs almost nothing
compared with decoding.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from av.video.frame import VideoFrame

from videos.decode.thumbnails import THUMBNAIL_SIDE, Thumbnail, coarse_thumbnail, correlation

SAME_CORRELATION: Final = 0.8
"""Least correlation of thumbnails of frames that look alike; different photographs reach 0.75."""

MIN_GAP_MS: Final = 20
"""Least time between two frames that are delivered because they differ."""

_LUMA_FIRST: Final = ("yuv", "nv12", "nv21", "gray")


class NoveltyFilter:
    """Decides which frames are delivered, by comparing each with the last one delivered."""

    def __init__(self) -> None:
        self._last: Thumbnail | None = None
        self._t = 0

    def deliver(self, t: int, thumbnail: Thumbnail, due: bool) -> bool:
        """Return whether the frame at ``t`` is delivered: it is ``due``, or differs from the last
        one.

        Call it once for each frame, in order.
        """
        unlike = self._last is None or (
            t - self._t >= MIN_GAP_MS and correlation(self._last, thumbnail) < SAME_CORRELATION
        )
        if due or unlike:
            self._last, self._t = thumbnail, t
        return due or unlike


def luma_thumbnail(frame: VideoFrame) -> Thumbnail:
    """Return 16 × 16 means of the frame's luma."""
    name = frame.format.name
    if not name.startswith(_LUMA_FIRST) or frame.format.components[0].bits != 8:
        small = frame.reformat(
            THUMBNAIL_SIDE, THUMBNAIL_SIDE, format="gray", interpolation="FAST_BILINEAR"
        )
        return coarse_thumbnail(small.to_ndarray().astype(np.float32))
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    rows = np.linspace(0, frame.height - 1, 2 * THUMBNAIL_SIDE).astype(int)
    columns = np.linspace(0, frame.width - 1, 2 * THUMBNAIL_SIDE).astype(int)
    points = luma[np.ix_(rows, columns)]
    return coarse_thumbnail(
        cv2.resize(points, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA).astype(
            np.float32
        )
    )
