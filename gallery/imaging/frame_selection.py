"""Selects the frames of an animation that models describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

HASH_BITS: Final = 256

Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TimedHash:
    """How long a frame is shown, and its PDQ hash (32 bytes); None if its quality is too low."""

    duration_ms: int
    hash: bytes | None


def select_frames(frames: Sequence[TimedHash], most: int) -> list[int]:
    """Return the numbers of up to ``most`` frames, the most informative first.

    The first half are those shown longest; the others differ most from all chosen before. Frames
    with the same hash count as one, shown for the sum of their times; repetitions come last.
    """
    times: dict[bytes | int, int] = {}
    first: dict[bytes | int, int] = {}
    for at, frame in enumerate(frames):
        key = at if frame.hash is None else frame.hash
        times[key] = times.get(key, 0) + frame.duration_ms
        first.setdefault(key, at)
    shown = {at: times[key] for key, at in first.items()}
    packed = b"".join(frame.hash or bytes(HASH_BITS // 8) for frame in frames)
    hashes = np.frombuffer(packed, np.uint8).reshape(len(frames), HASH_BITS // 8)
    steps = [HASH_BITS, *np.bitwise_count(hashes[1:] ^ hashes[:-1]).sum(axis=1).tolist()]
    longest = sorted(shown, key=lambda at: (-shown[at], -steps[at]))
    half = -(-most // 2)
    order = longest[:half]
    order += _farthest(hashes, order, longest[half:], most - len(order))
    again = sorted(set(range(len(frames))) - set(order), key=lambda at: -frames[at].duration_ms)
    return (order + again)[:most]


def _farthest(hashes: Hashes, chosen: Sequence[int], others: Sequence[int], most: int) -> list[int]:
    """Return up to ``most`` of the others, each as far as possible from all chosen before it."""
    rest = np.array(others, np.int64)
    nearest = np.full(len(rest), HASH_BITS, np.int64)
    found: list[int] = []
    for at in chosen:
        nearest = np.minimum(nearest, _distances(hashes, rest, at))
    while len(found) < min(most, len(rest)):
        best = int(nearest.argmax())
        found.append(int(rest[best]))
        nearest = np.minimum(nearest, _distances(hashes, rest, found[-1]))
        nearest[best] = -1
    return found


def _distances(hashes: Hashes, rest: NDArray[np.int64], at: int) -> NDArray[np.int64]:
    differing = np.bitwise_count(hashes[rest] ^ hashes[at])
    return np.asarray(differing.sum(axis=1), np.int64)
