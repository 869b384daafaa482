"""Reads animated GIF, WebP, PNG and AVIF with Pillow. Runs only in the decoding process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.decoding import reading
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooLarge
from gallery.imaging.decoding.reading import FileFrame
from gallery.imaging.pixels import fitted_size, resized
from videos.decode.decoder_protocol import (
    RENDERINGS,
    DecodedFrame,
    DecodingJob,
    TimeGrid,
    VideoInfo,
    layer_number,
)
from videos.decode.errors import NotAVideo, VideoTooLarge, clock

_DEFAULT_MS = 100
"""Duration of a frame that does not state one."""


def read(job: DecodingJob) -> Iterator[VideoInfo | DecodedFrame]:
    """Yield ``VideoInfo`` once, then the frames wanted. Raises NotAVideo, VideoTooLarge."""
    try:
        yield from _read(job)
    except TooLarge as exc:
        raise VideoTooLarge(exc.message) from exc
    except NotAnImage as exc:
        raise NotAVideo(exc.message) from exc


def _read(job: DecodingJob) -> Iterator[VideoInfo | DecodedFrame]:
    limits = PictureLimits(
        max_bytes=job.limits.max_bytes,
        max_pixels=job.limits.max_pixels,
        max_frames=job.limits.max_frames,
        # The limits of the process bound the cost of all frames together.
        max_total_pixels=job.limits.max_pixels * job.limits.max_frames,
    )
    data = Path(job.name).read_bytes()
    info = reading.inspect(data, limits)
    # Checked here, because the first frame is delivered only after a different one was decoded.
    reading.decode(data, limits)
    yield VideoInfo(job.container, info.format, info.width, info.height, None, frames=info.frames)
    others: set[str] = set()
    yield from _frames(job, data, limits, 0, others)
    for rendering, name in enumerate(RENDERINGS):
        if name in others:
            yield from _frames(job, data, limits, rendering, others)


def _frames(
    job: DecodingJob, data: bytes, limits: PictureLimits, rendering: int, others: set[str]
) -> Iterator[DecodedFrame]:
    """Yield the frames in one rendering; add names of further distinct renderings to ``others``."""
    due, t = TimeGrid(job.fps, job.start_ms, job.phase), 0
    size: tuple[int, int] | None = None
    for shown in reading.file_frames(reading.open_data(data, limits), limits):
        if shown.place not in ("full", "frame"):
            return
        until = t + (shown.duration_ms or _DEFAULT_MS)
        if job.end_ms is not None and t > job.end_ms:
            return
        if t > job.limits.max_duration_ms:
            raise VideoTooLarge(
                f"The animation goes on beyond {clock(job.limits.max_duration_ms)}; "
                "cut it into parts."
            )
        height, width = shown.frame.rgb.shape[:2]
        size = size or fitted_size(width, height, job.long_side)
        # ``file_pictures`` delivers only frames that differ from the one before.
        if due.take(t, until) or job.screening:
            rgb = _rendered(shown, rendering, others if job.screening else set())
            progress = 1.0 if rendering else (shown.number + 1) / shown.frame.info.frames
            yield DecodedFrame(t, until, resized(rgb, size), progress, layer_number(0, rendering))
        t = until


def _rendered(shown: FileFrame, rendering: int, others: set[str]) -> NDArray[np.uint8]:
    renderings = {one.name: one.rgb for one in shown.frame.renderings()}
    others.update(renderings.keys() - {RENDERINGS[0]})
    return renderings.get(RENDERINGS[rendering], shown.frame.rgb)
