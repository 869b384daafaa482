"""What a grid of times would miss: frames between its points that look like something else.

A look is made of every 64th part of the stored luma alone, so that it costs next to nothing beside
decoding the frame.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from av.video.frame import VideoFrame

from videos.decode.frame_quality import (
    SIDE,
    Grey,
    coarse,
    likeness,
)

UNLIKE: Final = 0.8
"""Correlation of looks. Different photographs have at most 0.75."""

LEAST_MS: Final = 20
"""Between two frames that are delivered for their looks: so many a second at most."""

_LUMA_FIRST: Final = ("yuv", "nv12", "nv21", "gray")


class Cuts:
    """Remembers what was delivered last."""

    def __init__(self) -> None:
        self._look: Grey | None = None
        self._t = 0

    def deliver(self, t: int, look: Grey, due: bool) -> bool:
        """Whether the frame at ``t`` that has this ``look`` is delivered: it is ``due``, or unlike
        the last one that was.

        To be asked of each frame once, in order.
        """
        unlike = self._look is None or (
            t - self._t >= LEAST_MS and likeness(self._look, look) < UNLIKE
        )
        if due or unlike:
            self._look, self._t = look, t
        return due or unlike


def look_of(frame: VideoFrame) -> Grey:
    """16 × 16 means of its luma."""
    name = frame.format.name
    if not name.startswith(_LUMA_FIRST) or frame.format.components[0].bits != 8:
        small = frame.reformat(SIDE, SIDE, format="gray", interpolation="FAST_BILINEAR")
        return coarse(small.to_ndarray().astype(np.float32))
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    rows = np.linspace(0, frame.height - 1, 2 * SIDE).astype(int)
    columns = np.linspace(0, frame.width - 1, 2 * SIDE).astype(int)
    points = luma[np.ix_(rows, columns)]
    return coarse(cv2.resize(points, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32))
