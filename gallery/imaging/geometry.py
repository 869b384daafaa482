"""Does one picture show (a part of) another? Geometric verification of local features.

Like features are paired, and the pairs must agree on one affine transform (``transforms``). The
query is compared as it is and mirrored. A match says that pictures share content: a copy does, and
so do two cards with the same words on them, which is why a match carries what a calibrated
confidence needs. None does not say that pictures differ: a soft one has few features.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging import drawing
from gallery.imaging.local_features import Features
from gallery.imaging.regions import (
    Box,
    Region,
    area_share,
    as_shares,
    bounds,
    corners_of,
    inside,
    shared,
    true_corners,
)
from gallery.imaging.transforms import (
    MIN_PLACES,
    Floats,
    Model,
    Pairs,
    fit,
    moved,
    places,
)

Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]
Size = tuple[int, int]
"""Width, height in pixels."""

RATIO = 0.8
"""The best must be this much nearer than the second best (Lowe 2004)."""

CERTAIN = 20
"""A query that shows so many places of the candidate is not tried mirrored as well."""

_WHOLE = 0.94
"""A picture of which so much is covered counts as covered: edges are found to about 1 %."""


@dataclass(frozen=True, slots=True)
class Match:
    """What two pictures share.

    ``inliers``: places that agree, each counted once. ``tentative``: pairs of like features
    before geometry. ``support``: inliers ÷ places with features in the shared region, of the
    picture that has fewer there, 0..1. ``residual``: median error, ``spread``: standard deviation
    of the agreeing places across their narrowest direction; both as shares of the long side.
    ``matrix``: query → candidate in pixels of the upright pictures, which have ``query_size`` and
    ``candidate_size`` (determinant < 0: mirrored).
    The query shows the candidate times ``scale``, turned by ``rotation`` degrees (−180..180,
    clockwise positive), then mirrored left to right if ``mirrored``.
    ``query_region`` and ``candidate_region``: the shared part in each picture, corner by corner
    the same; what a border or text in the query hides of the candidate counts as shown.
    ``query_area`` and ``candidate_area``: its share of the pictures, 0..1.
    """

    inliers: int
    tentative: int
    support: float
    residual: float
    spread: float
    matrix: Matrix
    query_size: Size
    candidate_size: Size
    mirrored: bool
    rotation: float
    scale: float
    query_region: Region
    candidate_region: Region
    query_area: float
    candidate_area: float

    @property
    def query_box(self) -> Box:
        """Bounds the part of the query that the candidate covers."""
        return bounds(self.query_region)

    @property
    def candidate_box(self) -> Box:
        """Bounds the part of the candidate that the query shows."""
        return bounds(self.candidate_region)

    @property
    def border(self) -> bool:
        """Does the query show something around the candidate (a border, text, other pictures)?"""
        return self.query_area < _WHOLE

    @property
    def crop(self) -> bool:
        """Does the query show only a part of the candidate?"""
        return self.candidate_area < _WHOLE

    def as_dict(self) -> dict[str, Any]:
        """The match for JSON, rounded. ``inliers``, ``support``, ``mirrored``, ``rotation``
        (degrees), ``scale``, ``query_area``, ``candidate_area``; ``border``, ``crop``;
        ``query_box``, ``candidate_box`` [left, top, right, bottom] and ``query_region``,
        ``candidate_region`` [[x, y], …] as shares of width and height."""
        return {
            "inliers": self.inliers,
            "support": round(self.support, 3),
            "mirrored": self.mirrored,
            "rotation": round(self.rotation, 1),
            "scale": round(self.scale, 4),
            "query_area": round(self.query_area, 4),
            "candidate_area": round(self.candidate_area, 4),
            "border": self.border,
            "crop": self.crop,
            "query_box": [round(value, 4) for value in self.query_box],
            "candidate_box": [round(value, 4) for value in self.candidate_box],
            "query_region": [[round(x, 4), round(y, 4)] for x, y in self.query_region],
            "candidate_region": [[round(x, 4), round(y, 4)] for x, y in self.candidate_region],
        }


@dataclass(frozen=True, slots=True)
class _Side:
    """A picture's features in units of its long side, as matching needs them."""

    width: int
    height: int
    points: Floats
    sizes: Floats
    angles: Floats
    descriptors: NDArray[np.float32]

    @classmethod
    def of(cls, features: Features) -> _Side:
        unit = max(features.width, features.height)
        return cls(
            features.width,
            features.height,
            features.points() / unit,
            np.log(features.sizes() / unit),
            features.angles(),
            features.descriptors(),
        )

    @property
    def corners(self) -> Floats:
        unit = max(self.width, self.height)
        return corners_of(self.width / unit, self.height / unit)


def verify(query: Features, candidate: Features) -> Match | None:
    """How the query shows the candidate, or None."""
    return verify_many(query, [candidate])[0]


def verify_many(
    query: Features, candidates: Sequence[Features | bytes | memoryview], threads: int = 1
) -> list[Match | None]:
    """``verify`` against each candidate, given as ``Features`` or as ``Features.pack`` wrote
    them, by so many threads. Half a millisecond each on one thread, at most one. Raises
    ``gallery.imaging.local_features.NotLocalFeatures``."""
    upright, mirrored = _Side.of(query), _Side.of(query.mirrored())

    def verified(part: Sequence[Features | bytes | memoryview]) -> list[Match | None]:
        sides = [_Side.of(_unpacked(candidate)) for candidate in part]
        # Taken once: to give back and take anew half a megabyte each time costs as much as the
        # rest.
        most = max((len(side.points) for side in sides), default=0)
        room = np.empty((2, len(query) * most), np.float32)
        return [_verify(upright, mirrored, side, room) for side in sides]

    if threads == 1:
        return verified(candidates)
    share = max(1, ceil(len(candidates) / threads))
    parts = [candidates[at : at + share] for at in range(0, len(candidates), share)]
    with ThreadPoolExecutor(threads) as pool:
        return [match for part in pool.map(verified, parts) for match in part]


def side_by_side(
    query_rgb: NDArray[np.uint8], candidate_rgb: NDArray[np.uint8], match: Match
) -> bytes:
    """A JPEG of the upright query (left) and candidate (right), what they share marked. The arrays
    may be smaller than the pictures that were matched."""
    return drawing.side_by_side(
        query_rgb, match.query_region, candidate_rgb, match.candidate_region
    )


def _unpacked(candidate: Features | bytes | memoryview) -> Features:
    return candidate if isinstance(candidate, Features) else Features.unpack(candidate)


def _verify(
    upright: _Side, mirrored: _Side, candidate: _Side, room: NDArray[np.float32]
) -> Match | None:
    best: tuple[_Side, Pairs, Model] | None = None
    for query in (upright, mirrored):
        pairs = _like(query, candidate, room)
        model = fit(pairs)
        if model is not None and (best is None or model.places > best[2].places):
            best = query, pairs, model
            if model.places >= CERTAIN:
                break
    if best is None:
        return None
    query, pairs, model = best
    return _described(query, candidate, pairs, model, query is mirrored)


def _like(query: _Side, candidate: _Side, room: NDArray[np.float32]) -> Pairs:
    """Pairs in which one feature is much more like the other than any third, in either
    picture. The query's strongest features first. Overwrites the room."""
    size, count = len(query.points), len(candidate.points)
    if min(size, count) < MIN_PLACES:
        found = np.empty(0, np.intp)
    else:
        forward = room[0, : size * count].reshape(size, count)
        backward = room[1, : size * count].reshape(count, size)
        np.matmul(query.descriptors, candidate.descriptors.T, out=forward)
        cv2.transpose(forward, backward)
        j, i = forward.argmax(axis=1), backward.argmax(axis=1)
        rows, columns = np.arange(size), np.arange(count)
        best, best_back = forward[rows, j], backward[columns, i]
        # A maximum down the columns is three times as fast as one along the rows.
        backward[j, rows] = forward[i, columns] = -1.0
        passed = _distinctive(best, cv2.reduce(backward, 0, cv2.REDUCE_MAX)[0])
        passed_back = _distinctive(best_back, cv2.reduce(forward, 0, cv2.REDUCE_MAX)[0])
        found = np.union1d((rows * count + j)[passed], (i * count + columns)[passed_back])
    i, j = np.divmod(found, count)
    return Pairs(
        query.points[i],
        candidate.points[j],
        candidate.sizes[j] - query.sizes[i],
        candidate.angles[j] - query.angles[i],
    )


def _distinctive(best: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The ratio test, on cosines: squared distances of unit vectors are 2 − 2 × cosine."""
    return np.asarray(1.0 - best < RATIO**2 * (1.0 - second))


def _described(
    query: _Side, candidate: _Side, pairs: Pairs, model: Model, mirrored: bool
) -> Match | None:
    """None if, by the transform, the pictures do not overlap."""
    covered = shared(model.matrix, query.corners, candidate.corners)
    if not len(covered):
        return None
    shown, corners = moved(model.matrix, covered), true_corners(covered)
    features = min(
        places(query.points[inside(covered, query.points)]),
        places(candidate.points[inside(shown, candidate.points)]),
    )
    query_unit, unit = max(query.width, query.height), max(candidate.width, candidate.height)
    linear = model.matrix[:, :2] * (unit / query_unit)
    pixels = np.c_[linear, model.matrix[:, 2] * unit]
    if mirrored:
        pixels = pixels @ np.array([[-1.0, 0.0, query.width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        covered = covered * (-1.0, 1.0) + (query.corners[2, 0], 0.0)
    (a, b, c), (d, e, f) = pixels.tolist()
    return Match(
        inliers=model.places,
        tentative=len(pairs.q),
        support=min(1.0, model.places / max(1, features)),
        residual=model.residual,
        spread=model.spread,
        matrix=((a, b, c), (d, e, f)),
        query_size=(query.width, query.height),
        candidate_size=(candidate.width, candidate.height),
        mirrored=mirrored,
        rotation=float(np.rad2deg(np.arctan2(linear[0, 1] - linear[1, 0], linear.trace()))),
        scale=float(1.0 / np.sqrt(np.linalg.det(linear))),
        query_region=as_shares(covered[corners], query.corners),
        candidate_region=as_shares(shown[corners], candidate.corners),
        query_area=area_share(covered, query.corners),
        candidate_area=area_share(shown, candidate.corners),
    )
