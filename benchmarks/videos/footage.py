"""Reads frames from files and writes frames to files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, cast

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Timed = tuple[float, Pixels]
"""Seconds from the file's start, height × width × 3."""

CLOCK = Fraction(1, 90_000)
GIF_COLOURS = 256


def read(path: Path, start: float = 0.0, end: float = float("inf")) -> Iterator[Timed]:
    """Yield the upright frames of a file from ``start`` to ``end`` seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        begin = (container.start_time or 0) / 1e6
        if start > 0:
            container.seek(round((start + begin) * 1e6))
        for frame in container.decode(stream):
            if frame.time is None:
                continue
            t = max(0.0, frame.time - begin)
            if t > end:
                return
            if t >= start:
                yield t, _upright(frame)


def _upright(frame: VideoFrame) -> Pixels:
    rgb = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb, frame.rotation // 90))


def shown(path: Path, times: Sequence[float]) -> Iterator[Pixels]:
    """Yield the visible frame at each of these ascending times (the first frame before it
    begins)."""
    given = 0
    last: Pixels | None = None
    # A frame may last long, so begin early enough to get the frame visible at the first time.
    for t, rgb in read(path, max(0.0, times[0] - 2.0), times[-1] + 2.0):
        while last is not None and given < len(times) and times[given] < t - 1e-6:
            given += 1
            yield last
        if given == len(times):
            return
        last = rgb
    if last is None:
        raise ValueError(f"{path} shows nothing at {times[0]:.2f} s")
    for _ in range(len(times) - given):
        yield last


def encode(
    frames: Iterable[Pixels], rate: float, file: IO[bytes], options: Mapping[str, str]
) -> None:
    """Write an H.264 MP4. ``rate``: frames per second; ``options``: crf, preset, …"""
    with av.open(file, "w", format="mp4") as container:
        stream = None
        for number, rgb in enumerate(frames):
            rgb = np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])
            if stream is None:
                whole = Fraction(rate).limit_denominator(1001)
                stream = container.add_stream("libx264", rate=whole, options=dict(options))
                stream.height, stream.width = rgb.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = CLOCK
                stream.codec_context.thread_count = 1
            frame = VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.time_base, frame.pts = CLOCK, round(number / rate / CLOCK)
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError("no frames")
        container.mux(stream.encode(None))


def mp4(frames: Iterable[Pixels], rate: float, crf: int) -> bytes:
    """Return a clip as people share it."""
    out = io.BytesIO()
    encode(frames, rate, cast(IO[bytes], out), {"crf": str(crf), "preset": "veryfast"})
    return out.getvalue()


def gif(frames: Sequence[Pixels], rate: float) -> bytes:
    """Return an endless animation; each frame has its own palette."""
    pictures = [Image.fromarray(rgb).quantize(GIF_COLOURS) for rgb in frames]
    out = io.BytesIO()
    pictures[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / rate),
        loop=0,
    )
    return out.getvalue()


def png(rgb: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG", compress_level=1)
    return out.getvalue()
