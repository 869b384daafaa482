"""What the decoding process is told and what it answers.

The process that reads a stranger's file may be taken over by it, so what comes back is plain
numbers, pixels and JSON, judged by the reader: never pickles. A message is ``HEADER`` (kind, bytes
of the body) and a body: ``INFO`` and ``ERROR`` are JSON, a ``FRAME`` begins with ``FRAME_HEAD``.
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
"""Begin and end in ms, progress 0..1, layer, height, width; then height × width × 3 bytes of R, G,
B."""

INFO: Final = b"I"
FRAME: Final = b"F"
END: Final = b"Z"
ERROR: Final = b"E"

MAX_LONG_SIDE: Final = 2048
MAX_JSON_BYTES: Final = 8192

GROUNDS: Final = ("white", "black", "colour", "unconverted", "inverted")
"""Ways in which players show a frame, as ``pictures.Rendering`` names them; the usual one
first. Of footage the first three."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be decoded, and what it may cost.

    ``max_pixels`` is of one frame, ``max_pictures`` the streams of pictures, which are all read.
    ``cpu_seconds`` and ``memory_bytes`` (address space) bound the process that decodes;
    ``wall_seconds`` is the time spent waiting for it, not counting what the caller does with the
    frames.
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
class Job:
    """One decoding. ``name``: of the file in the working directory; ``phase``: a point of the grid
    of times, in ms; see ``decoding.decode``."""

    name: str
    container: str
    fps: float | None
    phase: float
    screening: bool
    start_ms: int
    end_ms: int | None
    long_side: int
    limits: Limits

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        values = json.loads(text)
        return cls(**{**values, "limits": Limits(**values["limits"])})


@dataclass(frozen=True, slots=True)
class Info:
    """``container``: as sniffed; ``codec``: FFmpeg's or Pillow's name; size in pixels as shown
    (upright, pixels made square); ``duration_ms``, ``fps``, ``frames``: what the header claims,
    None if nothing."""

    container: str
    codec: str
    width: int
    height: int
    duration_ms: int | None
    fps: float | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """``t``, ``until``: from when to when it is on the screen, in ms from the start of the file.

    ``rgb``: upright, uint8, height × width × 3, read-only. ``progress``: share of the file read so
    far, 0..1. ``layer``: 0 for what players show; see ``layer_name``.
    """

    t: int
    until: int
    rgb: NDArray[np.uint8]
    progress: float
    layer: int = 0


def layer_of(stream: int, ground: int) -> int:
    """The number of a picture stream, 0 being the best one, over one of ``GROUNDS``."""
    return stream * len(GROUNDS) + ground


def layer_name(layer: int) -> str:
    """What a person calls it: "", "black", "stream 2", "stream 2 colour"."""
    stream, ground = divmod(layer, len(GROUNDS))
    parts = f"stream {stream + 1}" if stream else "", GROUNDS[ground] if ground else ""
    return " ".join(filter(None, parts))


def fitted(width: float, height: float, long_side: int) -> tuple[int, int]:
    """The size reduced, never enlarged, to a long side of ``long_side`` pixels, each ≥ 1."""
    scale = min(1.0, long_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class Due:
    """Which frames of a stream are on the screen at the points of a grid of ``fps`` a second.

    One point is ``start_ms``, the others are those of a grid through ``phase`` ms: who does not
    know it cannot put a picture between the points. Grids with one phase whose rates are multiples
    share the points of the coarser one. Without ``fps`` every frame is due.
    """

    def __init__(self, fps: float | None, start_ms: int, phase: float = 0.0) -> None:
        self._step = 0.0 if fps is None else 1000.0 / fps
        self._phase = phase
        self._next = float(start_ms)

    def take(self, t: int, until: int) -> bool:
        """Is the frame that is shown from ``t`` to ``until`` one of them? To be asked of each frame
        once, in order."""
        if until <= max(t, self._next):
            return False
        self._next = until
        if self._step:
            points = math.ceil((until - self._phase) / self._step)
            self._next = points * self._step + self._phase
        return True
