"""Synthetic clips, written with PyAV: moving photographs, cuts, and containers of every kind."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from tests.environment import DATA_DIR
from tests.factories import encoded
from tests.kept_results import kept_file

Pixels = NDArray[np.uint8]
Timed = tuple[float, Pixels]
"""Seconds, picture."""

PHOTOGRAPHS = (
    *("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry"),
    *("retina", "camera", "brick", "grass", "gravel", "coins", "page", "text", "moon"),
)
CODECS = {
    "mp4": ("mp4", "libx264"),
    "mov": ("mov", "libx264"),
    "mkv": ("matroska", "libx265"),
    "webm": ("webm", "libvpx-vp9"),
    "avi": ("avi", "mpeg4"),
    "mpegts": ("mpegts", "libx264"),
    "ogg": ("ogg", "libvpx"),
}
"""Container, as sniffed → FFmpeg's muxer and encoder."""

_FAST: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "1M", "threads": "1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "1M", "threads": "1"},
    "mpeg4": {"b": "1M"},
}


@functools.cache
def photograph(name: str) -> Pixels:
    """One of ``PHOTOGRAPHS``, RGB, 640 pixels on the long side."""
    picture = np.asarray(getattr(data, name)())
    if picture.ndim == 2:
        picture = np.dstack([picture] * 3)
    picture = np.ascontiguousarray(picture[..., :3])
    scale = 640 / max(picture.shape[:2])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def moving(
    name: str,
    seconds: float,
    *,
    rate: float = 25,
    size: tuple[int, int] = (320, 180),
    start: tuple[float, float, float] = (0.0, 0.0, 0.6),
    end: tuple[float, float, float] = (1.0, 1.0, 0.6),
) -> Iterator[Pixels]:
    """A pan and zoom over a photograph: (x, y, part shown), each 0..1, from start to end."""
    picture = photograph(name)
    height, width = picture.shape[:2]
    count = round(seconds * rate)
    for at in np.linspace(0.0, 1.0, count):
        x, y, part = np.asarray(start) + at * (np.asarray(end) - np.asarray(start))
        unit = part * min(width / size[0], height / size[1])
        left, top = x * (width - unit * size[0]), y * (height - unit * size[1])
        matrix = np.array([[unit, 0, left], [0, unit, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        yield np.asarray(cv2.warpAffine(picture, matrix, size, flags=flags), np.uint8)


@functools.cache
def film(bars: bool = False) -> bytes:
    """A minute of pans and zooms over photographs, 2 to 8 seconds a shot; with black bars."""
    rng = np.random.default_rng(7)
    pictures: list[Pixels] = []
    while len(pictures) < 60 * 10:
        seconds = float(rng.uniform(2, 8))
        start, part = rng.random(2), rng.uniform(0.5, 0.8)
        end = np.clip(start + rng.uniform(-0.06, 0.06, 2) * seconds, 0, 1)
        name = PHOTOGRAPHS[int(rng.integers(len(PHOTOGRAPHS)))]
        pictures += moving(name, seconds, rate=10, start=(*start, part), end=(*end, part))
    if bars:
        pictures = [np.pad(picture, ((40, 40), (0, 0), (0, 0))) for picture in pictures]
    return encode(timed(pictures[: 60 * 10], 10))


def still(name: str, seconds: float, **options: Any) -> Iterator[Pixels]:
    """A photograph that does not move."""
    frames = moving(name, seconds, start=(0.5, 0.5, 0.8), end=(0.5, 0.5, 0.8), **options)
    return itertools.repeat(next(frames), round(seconds * options.get("rate", 25)))


def plain(colour: int, seconds: float, *, rate: float = 25, height: int = 180) -> Iterator[Pixels]:
    """One grey level all over, 16:9."""
    for _ in range(round(seconds * rate)):
        yield np.full((height, height * 16 // 9, 3), colour, np.uint8)


def timed(frames: Iterable[Pixels], rate: float = 25) -> list[Timed]:
    """Frames at a constant rate."""
    return [(index / rate, frame) for index, frame in enumerate(frames)]


def encode(
    frames: Sequence[Timed],
    container: str = "mp4",
    *,
    codec: str | None = None,
    gop: int = 25,
    audio: bool = False,
    options: dict[str, str] | None = None,
    index_first: bool = False,
) -> bytes:
    """A video file with each picture shown from its own time on (to the millisecond).

    Kept on disk by what it is made of, for later runs and the other worker.
    """
    how = (container, codec, gop, audio, options, index_first, frames[0][1].shape)
    key = hashlib.sha256(repr((av.__version__, av.library_versions, how)).encode())
    last: Pixels | None = None
    for seconds, picture in frames:
        key.update(repr(seconds).encode())
        key.update(b"again" if picture is last else np.ascontiguousarray(picture))
        last = picture
    return kept_file(
        DATA_DIR / "clips" / key.hexdigest(),
        lambda: _encoded(frames, container, codec, gop, audio, options or {}, index_first),
    )


def _encoded(
    frames: Sequence[Timed],
    container: str,
    codec: str | None,
    gop: int,
    audio: bool,
    options: dict[str, str],
    index_first: bool,
) -> bytes:
    muxer, usual = CODECS[container]
    codec = codec or usual
    # To put an MP4's index first FFmpeg reads what it has written, which needs a file.
    out: Any = tempfile.NamedTemporaryFile() if index_first else io.BytesIO()  # noqa: SIM115
    target = out.name if index_first else out
    flags = {"movflags": "faststart"} if index_first and muxer in ("mp4", "mov") else {}
    with av.open(target, "w", format=muxer, options=flags) as file:
        rate = 25 if len(frames) < 2 else Fraction(1 / (frames[1][0] - frames[0][0]))
        stream = file.add_stream(codec, rate=rate.limit_denominator(1000) if rate != 25 else 25)
        stream.height, stream.width = frames[0][1].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        # MPEG-4 and Ogg cannot say milliseconds: their clock ticks once a frame.
        if codec not in ("mpeg4", "mpeg2video") and container != "ogg":
            stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {**_FAST.get(codec, {}), **options}
        sound = file.add_stream("aac", rate=48000, layout="stereo") if audio else None
        clock = stream.codec_context.time_base or Fraction(1, 25)
        for seconds, picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = clock
            frame.pts = round(seconds / clock)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            _add_silence(file, sound, frames[-1][0])
    out.seek(0)
    return bytes(out.read())


def _add_silence(file: Any, stream: Any, seconds: float) -> None:
    for at in range(0, max(1024, round(seconds * 48000)), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def sound_only(seconds: float = 1.0) -> bytes:
    """An MP4 with no picture."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        _add_silence(file, file.add_stream("aac", rate=48000, layout="stereo"), seconds)
    return out.getvalue()


def many_streams(count: int) -> bytes:
    """A Matroska file with very many video streams of one frame each."""
    name = f"streams-{count}-{av.__version__}"
    return kept_file(DATA_DIR / "clips" / name, lambda: _many_streams(count))


def _many_streams(count: int) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        streams = [file.add_stream("mjpeg", rate=10) for _ in range(count)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for stream in streams:
            picture.pts = 0
            file.mux([*stream.encode(picture), *stream.encode(None)])
    return out.getvalue()


def costly_gif(side: int, count: int) -> bytes:
    """A small file of ``count`` frames: each changes one pixel and has to be drawn in full."""
    out = io.BytesIO()
    Image.new("P", (side, side)).save(out, "GIF")
    control, place = b"!\xf9\x04\x00\x0a\x00\x00\x00", b",\0\0\0\0\1\0\1\0\0"
    return out.getvalue()[:-1] + count * (control + place + b"\x02\x02\x44\x01\x00") + b";"


def animation(frames: Sequence[Pixels], format: str, duration_ms: int | list[int] = 100) -> bytes:
    """An animated GIF, WebP or PNG."""
    pictures = [Image.fromarray(frame) for frame in frames]
    return encoded(
        pictures[0], format, save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0
    )
