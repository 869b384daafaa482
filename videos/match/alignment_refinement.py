"""When exactly? A hit's time, made exact by comparing with every frame around it.

Stored vectors say where to within a second; the frames themselves, decoded again, say which one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videos.decode.frame_quality import Grey

_CERTAIN = 0.002
"""Likeness less than this below the best is as good: the middle of such times is the answer."""


def refined_offset(
    query: Sequence[tuple[float, Grey]],
    window: Sequence[tuple[float, Grey]],
    *,
    speed: float,
    offset: float,
    reach: float = 1.5,
) -> tuple[float, float]:
    """The offset within ``reach`` seconds of ``offset`` at which query and video look most alike.

    ``query``: (query time, ``frame_quality.grey``) of one or more frames; ``window``: (video time,
    grey) of all frames from ``reach`` before the first to ``reach`` after the last of them. Where
    the picture does not change the nearest to ``offset`` is kept. Returns the offset and the mean
    likeness there, −1..1; ``offset`` itself and 0 if the window is empty.
    """
    if not query or not window:
        return offset, 0.0
    times = np.array([t for t, _ in window])
    alike = _units([small for _, small in query]) @ _units([small for _, small in window]).T
    expected = np.array([speed * t + offset for t, _ in query])
    # Every shift that puts some query frame exactly on some frame of the video.
    shifts = np.unique(np.round((times[None, :] - expected[:, None]).ravel(), 3))
    shifts = shifts[np.abs(shifts) <= reach]
    if not len(shifts):
        return offset, 0.0
    at = _nearest(times, expected[None, :] + shifts[:, None])
    total = alike[np.arange(len(query))[None, :], at].mean(axis=1)
    good = shifts[total >= total.max() - _CERTAIN]
    shift = good[np.abs(good - np.median(good)).argmin()]
    if good.min() <= 0.0 <= good.max() and total[np.abs(shifts).argmin()] >= total.max() - _CERTAIN:
        shift = good[np.abs(good).argmin()]
    return offset + float(shift), float(total.max())


def _units(looks: Sequence[Grey]) -> NDArray[np.float64]:
    flat = np.stack([small.ravel() for small in looks]).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-9))


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    """Index of the time nearest to each wanted one; ``times`` ascend."""
    right = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    right = np.minimum(right, len(times) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(wanted - times[left]) <= np.abs(times[right] - wanted), left, right)
