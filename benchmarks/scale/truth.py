"""The nearest images by brute force, found while the images are made: by numpy, not by SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.world import Rows

KEPT = 60
"""Nearest images kept for each query, so that enough are left when some are deleted."""


@dataclass(frozen=True)
class Asked:
    """The vectors of n queries. ``haar`` n × 16, ``bits`` n × 32 bytes, ``cnn`` and ``clip``."""

    haar: NDArray[np.float32]
    bits: NDArray[np.uint8]
    cnn: NDArray[np.float16]
    clip: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.haar)


class Truth:
    """``distances`` and ``ids``: match type → queries × ``KEPT``, the nearest first. Those of
    imgsmlr are of signatures."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        shape = (len(asked), KEPT)
        kinds = ("imgsmlr", "pdq", "copy", "clip")
        self.distances = {kind: np.full(shape, np.inf) for kind in kinds}
        self.ids = {kind: np.zeros(shape, np.int64) for kind in kinds}

    def add(self, first: int, rows: Rows) -> None:
        ids = np.arange(first, first + len(rows))
        for kind, distances in self._measured(rows).items():
            self._keep(
                kind,
                np.hstack([self.distances[kind], distances]),
                np.hstack([self.ids[kind], np.broadcast_to(ids, distances.shape)]),
            )

    def forget(self, gone: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> None:
        for kind, ids in self.ids.items():
            self._keep(kind, np.where(gone(ids), np.inf, self.distances[kind]), ids)

    def _keep(self, kind: str, distances: NDArray[Any], ids: NDArray[np.int64]) -> None:
        order = np.argsort(distances, axis=1, kind="stable")[:, :KEPT]
        self.distances[kind] = np.take_along_axis(distances, order, axis=1)
        self.ids[kind] = np.take_along_axis(ids, order, axis=1)

    def _measured(self, rows: Rows) -> Mapping[str, NDArray[Any]]:
        asked = self.asked
        a, b = asked.haar.astype(float), rows.haar.astype(float)
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        return {
            "imgsmlr": np.sqrt(np.maximum(squares, 0)),
            "pdq": _hamming(asked.bits, rows.bits),
            "copy": _cosine(asked.cnn, rows.cnn),
            "clip": _cosine(asked.clip, rows.clip),
        }


def _hamming(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    one, two = (np.unpackbits(bits, axis=1).astype(np.float32) for bits in (a, b))
    return np.asarray(one.sum(1)[:, None] + two.sum(1) - 2 * one @ two.T, np.float32)


def _cosine(a: NDArray[np.float16], b: NDArray[np.float16]) -> NDArray[np.float32]:
    one, two = a.astype(np.float32), b.astype(np.float32)
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(two, axis=1)
    return 1 - one @ two.T / lengths
