"""Other tools: perceptual hashes of two libraries, compared with every picture (linear search)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from benchmarks.recall import corpus
from benchmarks.recall.corpus import Source

Words = NDArray[np.uint64]
"""256 bits as four words."""


def phash(data: bytes) -> Words:
    bits = imagehash.phash(Image.open(io.BytesIO(data)), hash_size=16).hash
    return np.packbits(bits).view(np.uint64)


def pdq(data: bytes) -> Words:
    """Return pdqhash.compute of an encoded picture, whatever its quality."""
    rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    bits, _ = pdqhash.compute(np.ascontiguousarray(rgb))
    return np.packbits(bits.astype(np.uint8)).view(np.uint64)


PEERS: dict[str, Callable[[bytes], Words]] = {"imagehash pHash-16": phash, "pdqhash": pdq}


class Peer:
    def __init__(self, hashing: Callable[[bytes], Words], keys: Sequence[str], hashes: Words):
        self._hashing, self._keys, self._hashes = hashing, keys, hashes

    def nearest(self, data: bytes, limit: int) -> list[tuple[str, float]]:
        """Return keys and Hamming distances of the nearest, by distance, then in given order."""
        differing = np.bitwise_count(self._hashes ^ self._hashing(data))
        distances = differing.sum(axis=1, dtype=np.int64)
        best = np.argsort(distances, kind="stable")[:limit]
        return [(self._keys[i], float(distances[i])) for i in best]


def load(name: str, cache: Path) -> Peer:
    with np.load(cache) as numbers:
        return Peer(PEERS[name], numbers["keys"].tolist(), numbers[name])


def prepare(sources: Sequence[Source], cache: Path, workers: int) -> None:
    if cache.exists():
        return
    with ProcessPoolExecutor(workers) as pool:
        rows = list(pool.map(_hashes, sources, chunksize=32))
    columns: dict[str, Any] = {"keys": [source.key for source in sources]}
    for name, column in zip(PEERS, zip(*rows, strict=True), strict=True):
        columns[name] = np.stack(column)
    fresh = cache.with_suffix(".fresh.npz")
    np.savez(fresh, **columns)
    fresh.rename(cache)


def _hashes(source: Source) -> list[Words]:
    data = corpus.working_copy(source).read_bytes()
    return [hashing(data) for hashing in PEERS.values()]
