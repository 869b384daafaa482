"""Keys of caches of what was computed from pixels. The cache must not keep the pixels."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PixelsKey:
    """Equal for equal pixels. The function that the cache calls takes them out."""

    __slots__ = ("_digest", "_pixels")

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels: NDArray[np.uint8] | None = pixels
        # Two pictures with one digest would be taken for one another, so a cryptographic hash.
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
        self._digest = (*pixels.shape, digest.digest())

    def take(self) -> NDArray[np.uint8]:
        """Return the pixels and forget them. May be called once."""
        pixels, self._pixels = self._pixels, None
        if pixels is None:
            raise ValueError("the pixels were taken already")
        return pixels

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, PixelsKey) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)
