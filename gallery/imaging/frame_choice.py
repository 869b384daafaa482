"""Which pictures of an animation are worth the time of a model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 256

Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TimedHash:
    """How long a picture is shown, and its PDQ hash, 32 bytes; None if it has none to rely on."""

    duration_ms: int
    hash: bytes | None


def most_telling(frames: Sequence[TimedHash], most: int) -> list[int]:
    """Up to so many of the frames, by their places, the most telling first.

    The first half are those shown longest, the others differ most from all that were chosen before.
    Frames of one hash are one picture, shown for all of their time; the second of them comes last.
    """
    times: dict[bytes | int, int] = {}
    first: dict[bytes | int, int] = {}
    for at, frame in enumerate(frames):
        key = at if frame.hash is None else frame.hash
        times[key] = times.get(key, 0) + frame.duration_ms
        first.setdefault(key, at)
    shown = {at: times[key] for key, at in first.items()}
    packed = b"".join(frame.hash or bytes(BITS // 8) for frame in frames)
    hashes = np.frombuffer(packed, np.uint8).reshape(len(frames), BITS // 8)
    steps = [BITS, *np.bitwise_count(hashes[1:] ^ hashes[:-1]).sum(axis=1).tolist()]
    longest = sorted(shown, key=lambda at: (-shown[at], -steps[at]))
    half = -(-most // 2)
    order = longest[:half]
    order += _farthest(hashes, order, longest[half:], most - len(order))
    again = sorted(set(range(len(frames))) - set(order), key=lambda at: -frames[at].duration_ms)
    return (order + again)[:most]


def _farthest(hashes: Hashes, chosen: Sequence[int], others: Sequence[int], most: int) -> list[int]:
    """Some of the others, each as far as can be from all that were chosen before it."""
    rest = np.array(others, np.int64)
    nearest = np.full(len(rest), BITS, np.int64)
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
