"""What each video shows at each moment: a 64 × 64 grey copy of every frame.

It is used to choose questions and to judge answers: a moment that looks the same counts as right.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pdqhash
from numpy.typing import NDArray

from benchmarks.cache import directory
from benchmarks.recall.split import LEAST_QUALITY
from benchmarks.videos import footage
from benchmarks.videos.corpus import Film

SIDE = 64
EQUIVALENT = 0.98
"""Minimum correlation of two pictures that count as the same."""
LEAST_DEVIATION = 16.0
DARK_LEVEL, MOST_DARK = 20, 0.7

Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Track:
    """``times`` (seconds, ascending) and ``greys`` (n × 64 × 64) of all frames; ``excerpts`` of
    clips as in ``corpus.Film``."""

    times: NDArray[np.float64]
    greys: NDArray[np.uint8]
    excerpts: tuple[tuple[str, float, float, float], ...] = ()

    def at(self, seconds: float) -> Grey:
        found = int(np.searchsorted(self.times, seconds + 1e-6, side="right")) - 1
        return np.asarray(self.greys[max(0, found)])

    def equivalents(self, look: Grey) -> NDArray[np.float64]:
        return self.times[alike(self.greys, look) >= EQUIVALENT]

    def showing(self, other: Track, seconds: float) -> NDArray[np.float64]:
        """Return the times at which this track shows what ``other`` shows at ``seconds``: it looks
        the same, or is the same moment of the same clip cut to another shape."""
        found = [
            at + source - begin
            for key, from_, to, begin_there in other.excerpts
            if from_ <= seconds < to
            for source in [begin_there + seconds - from_]
            for own, at, end, begin in self.excerpts
            if own == key and 0 <= source - begin < end - at
        ]
        return np.concatenate([self.equivalents(other.at(seconds)), found])


def look(rgb: NDArray[np.uint8]) -> Grey:
    small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def alike(greys: NDArray[np.uint8], one: Grey) -> NDArray[np.float64]:
    """Return the correlation −1..1 of each with ``one``. If one has no contrast, it is 1 if both
    are flat and equally bright, otherwise 0."""
    many = greys.reshape(len(greys), -1).astype(np.float32)
    single = one.reshape(-1).astype(np.float32)
    means, mean = many.mean(axis=1), float(single.mean())
    many -= means[:, None]
    single = single - mean
    deviations, deviation = many.std(axis=1), float(single.std())
    flat = np.minimum(deviations, deviation) < 1.0
    same = (np.maximum(deviations, deviation) < 2.0) & (np.abs(means - mean) < 4.0)
    products = (many @ single) / single.size
    correlation = products / np.maximum(deviations * deviation, 1e-6)
    return np.asarray(np.where(flat, same.astype(np.float64), correlation), np.float64)


def tells(grey: Grey) -> bool:
    """Whether a frame can be searched for: it has contrast, is not nearly all black, and has a PDQ
    hash of the quality that its authors require."""
    if float(grey.std()) < LEAST_DEVIATION or float((grey < DARK_LEVEL).mean()) > MOST_DARK:
        return False
    return int(pdqhash.compute(np.repeat(grey[..., None], 3, axis=2))[1]) >= LEAST_QUALITY


def prepare(films: Iterable[Film], workers: int) -> None:
    (directory() / "tracks").mkdir(exist_ok=True)
    lacking = [film for film in films if not _file(film.key).exists()]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(_made, lacking), 1):
            if done % 10 == 0:
                print(f"{done} of {len(lacking)} videos are looked through", flush=True)


def _made(film: Film) -> None:
    cv2.setNumThreads(1)
    times, greys = [], []
    for t, rgb in footage.read(directory() / film.path):
        times.append(t)
        greys.append(look(rgb))
    fresh = _file(film.key).with_suffix(".fresh.npz")
    np.savez(fresh, times=np.array(times), greys=np.stack(greys))
    fresh.rename(_file(film.key))


def of(films: Mapping[str, Film]) -> Callable[[str], Track]:
    return lambda key: replace(track(key), excerpts=films[key].excerpts)


@lru_cache(maxsize=100)
def track(key: str) -> Track:
    with np.load(_file(key)) as arrays:
        return Track(arrays["times"], arrays["greys"])


def _file(key: str) -> Path:
    return directory() / "tracks" / f"{key}.npz"
