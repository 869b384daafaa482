"""Vectors of as many images as wanted: every real picture, then mixtures of two of them.

A mixture mixes all descriptors of the same two pictures by the same share, with noise. A share near
0 or 1 is the most frequent, so there are near-duplicates. The bits of PDQ are the signs of mixed
frequencies, as those of pictures that were faded into each other. There are no weights of CLIP
here: in its place stand learned vectors, averaged over the nearest pictures, turned, and
in a cone as narrow as CLIP's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.real import Floats, Pictures

CLIP_DIMENSIONS = 512
CONE = 0.75
"""Cosine of a vector to the axis of the cone: two unrelated ones have the cosine 0.56."""
NEAREST = 8
"""Pictures over which a learned vector is averaged."""
LOUDEST = 0.3
"""Largest noise, by the length of what it is added to."""
SHAKEN = 0.03
"""Standard deviation of what numbers of imgsmlr are multiplied by."""


@dataclass(frozen=True)
class Rows:
    """The columns of n images. ``bits``: n × 32 bytes. ``like``: the picture that each shows."""

    haar: Floats
    pattern: NDArray[Any]
    bits: NDArray[np.uint8]
    cnn: NDArray[np.float16]
    clip: NDArray[np.float16]
    like: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.like)


class World:
    """Makes images one after the other, the same ones each time."""

    def __init__(self, real: Pictures, seed: int = 1) -> None:
        self.real = real
        self.random = np.random.default_rng(seed)
        self._given = 0
        deviation = real.frequencies.std(axis=1, keepdims=True)
        self._frequencies = real.frequencies / deviation
        axis = np.random.default_rng(0).normal(size=(CLIP_DIMENSIONS, CLIP_DIMENSIONS))
        turn, _ = np.linalg.qr(axis)
        self._turn = turn.astype(np.float32)
        self._meaning = self._averaged(real.cnn)

    def take(self, count: int) -> Rows:
        """Return the next images."""
        left = len(self.real) - self._given
        if left > 0:
            at = np.arange(self._given, self._given + min(left, count))
            self._given += len(at)
            return self._rows(at, at, np.ones((len(at), 1), np.float32), noisy=False)
        a, b = self.random.integers(len(self.real), size=(2, count))
        share = self.random.beta(0.4, 0.4, (count, 1)).astype(np.float32)
        a, b = np.where(share[:, 0] < 0.5, (b, a), (a, b))
        return self._rows(a, b, np.maximum(share, 1 - share), noisy=True)

    def clip(self, cnn: Floats) -> NDArray[np.float16]:
        """Return what stands in CLIP's place for pictures with these learned vectors."""
        return self._cone(self._averaged(cnn))

    def _averaged(self, cnn: Floats) -> Floats:
        nearest = np.argpartition(-(cnn @ self.real.cnn.T), NEAREST, axis=1)[:, :NEAREST]
        return _unit(cnn + self.real.cnn[nearest].sum(axis=1))

    def _cone(self, meaning: Floats) -> NDArray[np.float16]:
        turned = np.sqrt(1 - CONE**2) * (meaning @ self._turn)
        turned[:, 0] += CONE
        return _unit(turned).astype(np.float16)

    def _rows(
        self, a: NDArray[np.int64], b: NDArray[np.int64], share: Floats, *, noisy: bool
    ) -> Rows:
        real = self.real

        def mixed(values: Floats) -> Floats:
            return share * values[a] + (1 - share) * values[b] if noisy else values[a]

        haar, pattern = mixed(real.haar), mixed(real.pattern)
        frequencies, cnn, meaning = map(mixed, (self._frequencies, real.cnn, self._meaning))
        if noisy:
            loud = LOUDEST * self.random.random((len(a), 1), np.float32)
            haar, pattern = self._shaken(haar), self._shaken(pattern)
            frequencies = self._noisy(frequencies, loud)
            cnn, meaning = self._noisy(cnn, loud), self._noisy(meaning, loud)
        median = np.median(frequencies, axis=1, keepdims=True)
        return Rows(
            haar,
            pattern,
            np.packbits(frequencies > median, axis=1),
            _unit(cnn).astype(np.float16),
            self._cone(_unit(meaning)),
            a,
        )

    def _shaken(self, values: Floats) -> Floats:
        noise = self.random.standard_normal(values.shape, np.float32)
        noise *= SHAKEN
        noise += 1
        noise *= values
        return noise

    def _noisy(self, values: Floats, loud: Floats) -> Floats:
        noise = self.random.standard_normal(values.shape, np.float32)
        length = np.linalg.norm(values, axis=1, keepdims=True) / np.sqrt(values.shape[1])
        return values + noise * (loud * length)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
