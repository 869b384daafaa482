"""Animated GIF, WebP and PNG → frames, by Pillow. Runs only in the decoding process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gallery import decoding
from gallery.pictures import Picture
from videos.errors import NotAVideo, VideoTooLarge, clock
from videos.wire import Due, Frame, Info, Job, fitted

_SHOWN_AT_LEAST_MS = 20
_USUAL_MS = 100
"""Browsers show a frame for 100 ms if the file asks for 10 or less."""


def read(job: Job) -> Iterator[Info | Frame]:
    """``Info`` once, then the frames wanted. Raises NotAVideo, VideoTooLarge."""
    try:
        yield from _read(job)
    except decoding.TooLarge as exc:
        raise VideoTooLarge(exc.message) from exc
    except decoding.NotAnImage as exc:
        raise NotAVideo(exc.message) from exc


def _read(job: Job) -> Iterator[Info | Frame]:
    limits = decoding.Limits(
        max_bytes=job.limits.max_bytes,
        max_pixels=job.limits.max_pixels,
        max_frames=job.limits.max_frames,
        # The process's own limits bound what all frames together cost.
        max_total_pixels=job.limits.max_pixels * job.limits.max_frames,
    )
    data = Path(job.name).read_bytes()
    info = decoding.inspect(data, limits)
    image = Image.open(io.BytesIO(data), formats=(decoding.FORMATS[info.format],))
    yield Info(job.container, info.format, info.width, info.height, None)
    size = fitted(info.width, info.height, job.long_side)
    due = Due(job.fps, job.start_ms)
    t = 0.0
    for index in range(info.frames):
        shown_ms = _seek(image, index)
        if job.end_ms is not None and t > job.end_ms:
            return
        if t > job.limits.max_duration_ms:
            raise VideoTooLarge(
                f"The animation goes on beyond {clock(job.limits.max_duration_ms)}; "
                "cut it into parts."
            )
        if due.take(round(t)):
            # Each frame is drawn over the ones before, so that it has to be copied.
            rgb = Picture(image.copy(), info, 1).rgb
            yield Frame(round(t), _reduced(rgb, size), (index + 1) / info.frames)
        t += shown_ms


def _seek(image: Image.Image, index: int) -> float:
    """Draw the frame; how long it is shown, in ms."""
    try:
        image.seek(index)
        image.load()
    except MemoryError:
        raise
    except Exception as exc:  # readers raise nearly anything on damaged bytes
        raise NotAVideo(
            f"Frame {index + 1} of the animation is damaged or missing; upload it again."
        ) from exc
    shown = float(image.info.get("duration", 0) or 0)
    return shown if shown >= _SHOWN_AT_LEAST_MS else _USUAL_MS


def _reduced(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if rgb.shape[1::-1] == size:
        return rgb
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
