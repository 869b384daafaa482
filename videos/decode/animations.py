"""Animated GIF, WebP, PNG and AVIF → frames, by Pillow. Runs only in the decoding process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging import decoding
from gallery.imaging.decoding import Shown
from gallery.imaging.picture_limits import Limits, NotAnImage, TooLarge
from videos.decode.decoder_protocol import (
    GROUNDS,
    Due,
    Frame,
    Info,
    Job,
    fitted,
    layer_of,
)
from videos.decode.errors import NotAVideo, VideoTooLarge, clock

_USUAL_MS = 100
"""Of a frame that does not say how long it is shown."""


def read(job: Job) -> Iterator[Info | Frame]:
    """``Info`` once, then the frames wanted. Raises NotAVideo, VideoTooLarge."""
    try:
        yield from _read(job)
    except TooLarge as exc:
        raise VideoTooLarge(exc.message) from exc
    except NotAnImage as exc:
        raise NotAVideo(exc.message) from exc


def _read(job: Job) -> Iterator[Info | Frame]:
    limits = Limits(
        max_bytes=job.limits.max_bytes,
        max_pixels=job.limits.max_pixels,
        max_frames=job.limits.max_frames,
        # The process's own limits bound what all frames together cost.
        max_total_pixels=job.limits.max_pixels * job.limits.max_frames,
    )
    data = Path(job.name).read_bytes()
    info = decoding.inspect(data, limits)
    # Who only takes a look learns so that it can be read: the first frame is answered no sooner
    # than another one is found that differs.
    decoding.decode(data, limits)
    yield Info(job.container, info.format, info.width, info.height, None, frames=info.frames)
    others: set[str] = set()
    yield from _frames(job, data, limits, 0, others)
    for ground, name in enumerate(GROUNDS):
        if name in others:
            yield from _frames(job, data, limits, ground, others)


def _frames(
    job: Job, data: bytes, limits: Limits, ground: int, others: set[str]
) -> Iterator[Frame]:
    """Over one ground; the names of all ``others`` that show something else are noted."""
    due, t = Due(job.fps, job.start_ms, job.phase), 0
    size: tuple[int, int] | None = None
    for shown in decoding.shown(data, limits):
        if shown.place not in ("full", "frame"):
            return
        until = t + (shown.duration_ms or _USUAL_MS)
        if job.end_ms is not None and t > job.end_ms:
            return
        if t > job.limits.max_duration_ms:
            raise VideoTooLarge(
                f"The animation goes on beyond {clock(job.limits.max_duration_ms)}; "
                "cut it into parts."
            )
        height, width = shown.picture.rgb.shape[:2]
        size = size or fitted(width, height, job.long_side)
        # Each frame differs from the one before it.
        if due.take(t, until) or job.screening:
            rgb = _rendered(shown, ground, others if job.screening else set())
            progress = 1.0 if ground else (shown.number + 1) / shown.picture.info.frames
            yield Frame(t, until, _reduced(rgb, size), progress, layer_of(0, ground))
        t = until


def _rendered(shown: Shown, ground: int, others: set[str]) -> NDArray[np.uint8]:
    renderings = {one.name: one.rgb for one in shown.picture.renderings()}
    others.update(renderings.keys() - {GROUNDS[0]})
    return renderings.get(GROUNDS[ground], shown.picture.rgb)


def _reduced(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if rgb.shape[1::-1] == size:
        return rgb
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
