"""Global copy vectors: EfficientNet-Lite0 features, whitened so that edits count little.

The features come from ``cnn_model``. The whitening gives little weight to the directions in which
a picture moves when it is edited and much to those in which pictures differ from one another (the
closed form of Mikolajczyk and Matas 2007); ``benchmarks/fit_whitening.py`` makes its numbers.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors import cnn_model
from gallery.imaging.descriptors.base import CNN_DIMENSIONS, Pixels
from gallery.shared.errors import Unavailable

SIDE = cnn_model.SIDE
DIMENSIONS = CNN_DIMENSIONS
WHITENING = Path(__file__).with_name("cnn_whitening.npz")
RETRY_SECONDS = 60.0
"""How long a model that failed to load is left alone."""

Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)


def square(rgb: Pixels) -> Pixels:
    """Uint8 H×W×3 squashed to 256×256×3: area-averaged where it shrinks, else interpolated."""
    height, width = rgb.shape[:2]
    shrunk = min(width, SIDE), min(height, SIDE)
    if shrunk != (width, height):
        rgb = np.asarray(cv2.resize(rgb, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    if shrunk != (SIDE, SIDE):
        rgb = np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(rgb)


class Cnn:
    """The model in ``directory``, loaded at the first use; safe to share between threads, of which
    each call occupies one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._failure: tuple[float, str] | None = None

    def unavailable(self) -> str | None:
        """Why it cannot be used, as a sentence; None if it can. Looks at files, loads nothing."""
        if self._loaded:
            return None
        if self._failure and time.monotonic() < self._failure[0]:
            return self._failure[1]
        return cnn_model.why_missing(self._directory)

    def prepare(self) -> None:
        """Write the model to the directory, once: 10 seconds. Raises ``Unavailable``."""
        cnn_model.prepare(self._directory)
        self._failure = None

    def embed(self, squares: Pixels) -> Floats:
        """Uint8 N×256×256×3 → float32 N×512 of unit length. Raises ``Unavailable``."""
        return (
            self._load().embed(squares) if len(squares) else np.empty((0, DIMENSIONS), np.float32)
        )

    def _load(self) -> _Loaded:
        if self._loaded:
            return self._loaded
        with self._lock:
            if self._loaded:
                return self._loaded
            if why := self.unavailable():
                raise Unavailable(why)
            try:
                self._loaded = _load(self._directory)
            except Unavailable as error:
                logger.exception("The model of match type copy cannot be loaded")
                self._failure = time.monotonic() + RETRY_SECONDS, error.message
                raise
            return self._loaded


class _Loaded:
    """The model in memory, and the whitening of what it gives."""

    def __init__(self, session: Any, mean: Floats, matrix: Floats) -> None:
        self._session, self._mean, self._matrix = session, mean, matrix
        # What is added is described and then screened: the last few are remembered, 3 MB.
        self._remembered = lru_cache(maxsize=16)(self._embed)

    def embed(self, squares: Pixels) -> Floats:
        # One by one: larger batches are no faster, and need the memory of a batch.
        return np.stack([self._remembered(one.tobytes()) for one in squares])

    def _embed(self, square: bytes) -> Floats:
        pixels = np.frombuffer(square, np.uint8).reshape(1, SIDE, SIDE, 3)
        (features,) = self._session.run(None, {"squares": pixels})
        return np.asarray(_unit((_unit(features) - self._mean) @ self._matrix)[0])


def _unit(vectors: NDArray[np.floating]) -> Floats:
    """Rows scaled to length 1."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def _load(directory: Path) -> _Loaded:
    session = cnn_model.load(directory)
    with np.load(WHITENING) as numbers:
        return _Loaded(session, numbers["mean"], numbers["matrix"].astype(np.float32))
