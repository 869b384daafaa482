"""Messages between the service and the process that decodes a video.

A malicious file may take over that process. So its messages are plain numbers, pixels and JSON,
which the reader checks; never pickles. A message is ``HEADER`` (kind, bytes of the body) and a
body: ``INFO`` and ``ERROR`` are JSON, a ``FRAME`` begins with ``FRAME_HEAD``.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

HEADER: Final = struct.Struct("<cI")
FRAME_HEAD: Final = struct.Struct("<qqfBHH")
"""Begin and end in ms, progress 0..1, layer, height, width; then the bytes of R, G, B."""

INFO: Final = b"I"
FRAME: Final = b"F"
END: Final = b"Z"
ERROR: Final = b"E"

MAX_LONG_SIDE: Final = 2048
MAX_JSON_BYTES: Final = 8192

ANIMATIONS: Final = frozenset({"gif", "webp", "png", "avif"})
"""Containers that Pillow reads; FFmpeg reads all others."""

RENDERINGS: Final = ("white", "black", "colour", "unconverted", "inverted")
"""How players may show a frame, by the names of ``gallery.imaging.decoding.pictures.Rendering``;
the usual way first. Videos have the first three, animations all."""


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Limits of a video and of the process that decodes it.

    ``max_pixels``: of one frame. ``max_pictures``: of picture streams, which are all read.
    ``cpu_seconds``, ``memory_bytes`` (address space): of the process. ``wall_seconds``: of waiting
    for it, not counting the time that the caller spends on the frames.
    """

    max_bytes: int = 2 * 1024**3
    max_duration_ms: int = 6 * 3_600_000
    max_pixels: int = 4096 * 2304
    max_frames: int = 2_000_000
    max_streams: int = 64
    max_pictures: int = 8
    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 1800
    wall_seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class DecodingJob:
    """``name``: of the file in the working directory. ``phase``: ms, a point of the ``TimeGrid``.
    See ``decoding.decode``."""

    name: str
    container: str
    fps: float | None
    phase: float
    screening: bool
    start_ms: int
    end_ms: int | None
    long_side: int
    limits: VideoLimits

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DecodingJob:
        values = json.loads(text)
        return cls(**{**values, "limits": VideoLimits(**values["limits"])})


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """``container``: by ``sniffing``. ``codec``: FFmpeg's or Pillow's name. Size in pixels as shown
    (upright, with square pixels). ``duration_ms``, ``fps``, ``frames``: as the header claims,
    or None."""

    container: str
    codec: str
    width: int
    height: int
    duration_ms: int | None
    fps: float | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """``t``, ``until``: when it is on the screen, in ms from the start of the file.

    ``rgb``: upright, uint8, height × width × 3, read-only. ``progress``, 0..1: the share of the
    file read so far. ``layer``: 0 for what players usually show; see ``layer_name``.
    """

    t: int
    until: int
    rgb: NDArray[np.uint8]
    progress: float
    layer: int = 0


def layer_number(stream: int, rendering: int) -> int:
    """Return the layer of a picture stream (0 is the best one) in one of the ``RENDERINGS``."""
    return stream * len(RENDERINGS) + rendering


def layer_name(layer: int) -> str:
    """Return for example "", "black", "stream 2", "stream 2 colour"."""
    stream, rendering = divmod(layer, len(RENDERINGS))
    parts = f"stream {stream + 1}" if stream else "", RENDERINGS[rendering] if rendering else ""
    return " ".join(filter(None, parts))


def fitted_size(width: float, height: float, long_side: int) -> tuple[int, int]:
    """Reduce the size, never enlarge, to a long side of ``long_side`` pixels, each side ≥ 1."""
    scale = min(1.0, long_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class TimeGrid:
    """Selects the frames of a stream that are on the screen at the points of a grid of times.

    The first point is ``start_ms``, the others are ``fps`` points a second through ``phase`` ms.
    Senders do not know the phase, so they cannot hide a picture between the points. Grids of the
    same phase whose rates are multiples share points. Without ``fps`` every frame is selected.
    """

    def __init__(self, fps: float | None, start_ms: int, phase: float = 0.0) -> None:
        self._step = 0.0 if fps is None else 1000.0 / fps
        self._phase = phase
        self._next = float(start_ms)

    def take(self, t: int, until: int) -> bool:
        """Return whether the frame shown from ``t`` to ``until`` is selected. Call it once for each
        frame, in order."""
        if until <= max(t, self._next):
            return False
        self._next = until
        if self._step:
            points = math.ceil((until - self._phase) / self._step)
            self._next = points * self._step + self._phase
        return True
