"""Caches of what was computed from pixels. They must not keep the pixels."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")


class _Last(threading.local):
    pixels: weakref.ref[NDArray[np.uint8]] | None = None
    result: Any = None

    def forget(self, _: object) -> None:
        self.pixels = self.result = None


def remember_last(
    function: Callable[[NDArray[np.uint8]], Result],
) -> Callable[[NDArray[np.uint8]], Result]:
    """Remember, in each thread, the result for the last array while that array is in use.

    A picture is described and then screened, by steps that do not know of each other. Arrays must
    be read-only: one that could have changed is not remembered.
    """
    last = _Last()

    @wraps(function)
    def remembering(pixels: NDArray[np.uint8]) -> Result:
        if last.pixels is not None and last.pixels() is pixels:
            known: Result = last.result
            return known
        result = function(pixels)
        if not pixels.flags.writeable and result is not pixels:
            last.pixels, last.result = weakref.ref(pixels, last.forget), result
        return result

    return remembering


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
