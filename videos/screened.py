"""Hashes of all pictures that a video shows, however briefly. The stored frames are fewer."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes
from videos.decode.decoder_protocol import DecodedFrame

SCREENED_PER_SECOND: Final = 16.0
"""Grid points per second: a picture that is shown for 63 ms is on the screen at one of them. Every
fourth one is one of the samples', every second one of the small copy's."""

SAME_BITS: Final = 8
"""Two pictures that differ in at most this many of 256 bits count as one."""

REMEMBERED: Final = 64
"""Recent distinct pictures to compare with, so that two alternating pictures count as two."""


RECORD: Final = np.dtype(
    [("t", "<u4"), ("until", "<u4"), ("layer", "u1"), ("quality", "u1"), ("hash", "u1", (32,))]
)
"""The stored data of a picture. Times in ms."""


@dataclass(frozen=True, slots=True, eq=False)
class ScreenedPicture:
    """A picture that differs from earlier ones, on the screen from ``t`` to ``until``, in ms.

    ``hashes``: those of its eight rotations and reflections, its own first, 32 bytes each.
    """

    t: int
    until: int
    layer: int
    hashes: Sequence[bytes]
    quality: int
    rgb: NDArray[np.uint8]

    @property
    def own(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.hashes[0], np.uint8)

    def record(self) -> NDArray[np.void]:
        values = (self.t, self.until, self.layer, self.quality, self.own)
        return np.array([values], RECORD)


class DistinctPictures:
    """Finds the pictures of a video that differ from recent ones, in each layer."""

    def __init__(self) -> None:
        self._layer = 0
        self._recent: deque[NDArray[np.uint8]] = deque(maxlen=REMEMBERED)

    def of(self, frame: DecodedFrame) -> ScreenedPicture | None:
        """Return None for a picture that was seen before or whose hash is unreliable."""
        if frame.layer != self._layer:
            self._layer = frame.layer
            self._recent.clear()
        hashed = dihedral_hashes(frame.rgb)
        if hashed is None or hashed[1] < LOW_QUALITY:
            return None
        seen = ScreenedPicture(frame.t, frame.until, frame.layer, *hashed, frame.rgb)
        if self._recent and _nearest(np.stack(self._recent), seen.own) <= SAME_BITS:
            return None
        self._recent.append(seen.own)
        return seen


def not_among(records: NDArray[np.void], others: NDArray[np.uint8]) -> NDArray[np.void]:
    """Return the records whose hashes are not among ``others``, n × 32 bytes."""
    return records[[_nearest(others, one["hash"]) > SAME_BITS for one in records]]


def _nearest(hashes: NDArray[np.uint8], one: NDArray[np.uint8]) -> int:
    """Return the bits by which the nearest of n × 32 bytes differs; 256 if there is none."""
    return int(np.bitwise_count(hashes ^ one).sum(axis=1, dtype=np.int64).min(initial=256))
