"""Global vectors for copies: whitened EfficientNet-Lite0 features, which edits change little.

``cnn_model`` computes the features. The whitening weakens the directions in which edits move a
picture and strengthens those in which pictures differ (the closed form of Mikolajczyk and Matas
2007); ``benchmarks/fit_whitening.py`` computes its numbers.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.cache_keys import PixelsKey
from gallery.imaging.descriptors import cnn_model
from gallery.imaging.descriptors.base import CNN_DIMENSIONS, LazyModel
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import Unavailable

SIDE = cnn_model.SIDE
DIMENSIONS = CNN_DIMENSIONS
WHITENING = Path(__file__).with_name("cnn_whitening.npz")

REMEMBERED = 16
"""Vectors that are cached, as a picture is described and then screened."""

Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)


def square(rgb: Pixels) -> Pixels:
    """Resize uint8 H×W×3 to 256×256×3, not keeping proportions: average to shrink, interpolate to
    enlarge."""
    height, width = rgb.shape[:2]
    shrunk = min(width, SIDE), min(height, SIDE)
    if shrunk != (width, height):
        rgb = np.asarray(cv2.resize(rgb, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    if shrunk != (SIDE, SIDE):
        rgb = np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(rgb)


class Cnn:
    """The model in ``directory``, loaded at its first use. Each call uses one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lazy = LazyModel(self._load, lambda: cnn_model.why_missing(directory))

    def unavailable(self) -> str | None:
        return self._lazy.unavailable()

    def prepare(self) -> None:
        """Write the model to the directory, once: 10 seconds. Raises ``Unavailable``."""
        cnn_model.prepare(self._directory)
        self._lazy.try_again()

    def load(self) -> None:
        self._lazy.get()

    def embed(self, squares: Pixels) -> Floats:
        """Embed uint8 N×256×256×3 as float32 N×512 of unit length. Raises ``Unavailable``."""
        if not len(squares):
            return np.empty((0, DIMENSIONS), np.float32)
        return self._lazy.get().embed(squares)

    def _load(self) -> _Loaded:
        try:
            session = cnn_model.load(self._directory)
        except Unavailable:
            logger.exception("The model of match type copy cannot be loaded")
            raise
        with np.load(WHITENING) as numbers:
            return _Loaded(session, numbers["mean"], numbers["matrix"].astype(np.float32))


class _Loaded:
    def __init__(self, session: Any, mean: Floats, matrix: Floats) -> None:
        self._session, self._mean, self._matrix = session, mean, matrix
        self._remembered = lru_cache(REMEMBERED)(self._embed)

    def embed(self, squares: Pixels) -> Floats:
        # One by one: larger batches are no faster and need more memory.
        return np.stack([self._remembered(PixelsKey(one)) for one in squares])

    def _embed(self, square: PixelsKey) -> Floats:
        (features,) = self._session.run(None, {"squares": square.take()[np.newaxis]})
        return np.asarray(_unit((_unit(features) - self._mean) @ self._matrix)[0])


def _unit(vectors: NDArray[np.floating]) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)
