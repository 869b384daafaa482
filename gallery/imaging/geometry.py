"""Geometric verification: tests by local features whether a picture shows (a part of) another one.

Similar features are paired, and the pairs must agree on one affine transform (``transforms``). The
query is compared as it is and mirrored. A match means shared content: copies share content, but two
cards with the same words do, too. So the match holds numbers for a calibrated confidence. No match
does not mean that pictures differ: blurred ones have few features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.regions import (
    Region,
    RelativeBox,
    area_share,
    bounding_box,
    corners_of,
    distinct_corners,
    points_inside,
    relative_region,
    shared_region,
)
from gallery.imaging.transforms import (
    MIN_PLACES,
    AffineModel,
    Floats,
    PointPairs,
    count_places,
    fit_affine,
    transform_points,
)

Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]
Size = tuple[int, int]
"""Width, height in pixels."""

RATIO = 0.8
"""Distance of the best feature ÷ that of the second best, at most (Lowe 2004)."""

CERTAIN_INLIERS = 20
"""With so many inliers the mirrored query is not tried."""

WHOLE = 0.94
"""A picture counts as fully covered from this share on; edges are found to about 1 %."""


@dataclass(frozen=True, slots=True)
class GeometricMatch:
    """What two pictures share.

    ``inliers``: distinct places that agree. ``tentative``: pairs of similar features before
    geometry. ``support``, 0..1: inliers ÷ places with features in the shared region, of the picture
    that has fewer there. ``residual``: median error. ``spread``: standard deviation of the inliers
    in their narrowest direction. Both are shares of the long side.

    ``matrix``: query → candidate, in pixels of upright pictures of ``query_size`` and
    ``candidate_size``; a determinant < 0 mirrors. The query shows the candidate enlarged by
    ``scale``, turned by ``rotation`` degrees (−180..180, clockwise positive), then mirrored left to
    right if ``mirrored``.

    ``query_region``, ``candidate_region``: the shared region in each picture, with corners in the
    same order. Parts of the candidate hidden by a border or text in the query count as shared.
    ``query_area``, ``candidate_area``, 0..1: the share of each picture that it covers.
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
    def query_box(self) -> RelativeBox:
        return bounding_box(self.query_region)

    @property
    def candidate_box(self) -> RelativeBox:
        return bounding_box(self.candidate_region)

    @property
    def border(self) -> bool:
        """Whether the query shows something around the candidate: a border, text, pictures."""
        return self.query_area < WHOLE

    @property
    def crop(self) -> bool:
        """Whether the query shows only a part of the candidate."""
        return self.candidate_area < WHOLE

    def as_dict(self) -> dict[str, Any]:
        """Return the match for JSON, rounded.

        Boxes are [left, top, right, bottom], regions [[x, y], …], as shares of width and height.
        """
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
class _MatchedFeatures:
    """A picture's features in units of its long side."""

    width: int
    height: int
    points: Floats
    sizes: Floats
    angles: Floats
    descriptors: NDArray[np.float32]

    @classmethod
    def of(cls, features: LocalFeatures) -> _MatchedFeatures:
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


def verify(query: LocalFeatures, candidate: LocalFeatures) -> GeometricMatch | None:
    """Return how the query shows the candidate; None if it does not, or has too few features."""
    return verify_many(query, [candidate])[0]


def verify_many(
    query: LocalFeatures, candidates: Sequence[LocalFeatures | bytes | memoryview]
) -> list[GeometricMatch | None]:
    """``verify`` for each candidate. One takes 0.5 to 1 ms; two threads would take longer, as they
    wait for Python's lock between many short steps.

    Candidates are ``LocalFeatures``, or bytes as ``LocalFeatures.pack`` wrote them. Raises
    ``NotLocalFeatures``.
    """
    upright, mirrored = _MatchedFeatures.of(query), _MatchedFeatures.of(query.mirrored())
    sides = [_MatchedFeatures.of(_unpacked(candidate)) for candidate in candidates]
    # Allocated once: allocating half a megabyte for each candidate would double the time.
    most = max((len(side.points) for side in sides), default=0)
    room = np.empty((2, len(query) * most), np.float32)
    return [_best_match(upright, mirrored, side, room) for side in sides]


def _unpacked(candidate: LocalFeatures | bytes | memoryview) -> LocalFeatures:
    return candidate if isinstance(candidate, LocalFeatures) else LocalFeatures.unpack(candidate)


def _best_match(
    upright: _MatchedFeatures,
    mirrored: _MatchedFeatures,
    candidate: _MatchedFeatures,
    room: NDArray[np.float32],
) -> GeometricMatch | None:
    best: tuple[_MatchedFeatures, PointPairs, AffineModel] | None = None
    for query in (upright, mirrored):
        pairs = _feature_pairs(query, candidate, room)
        model = fit_affine(pairs)
        if model is not None and (best is None or model.places > best[2].places):
            best = query, pairs, model
            if model.places >= CERTAIN_INLIERS:
                break
    if best is None:
        return None
    query, pairs, model = best
    return _geometric_match(query, candidate, pairs, model, query is mirrored)


def _feature_pairs(
    query: _MatchedFeatures, candidate: _MatchedFeatures, room: NDArray[np.float32]
) -> PointPairs:
    """Pair features that pass the ratio test in either direction, the query's strongest first.

    Overwrites ``room``.
    """
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
        # cv2 reduces columns three times as fast as rows.
        backward[j, rows] = forward[i, columns] = -1.0
        passed = _passes_ratio_test(best, cv2.reduce(backward, 0, cv2.REDUCE_MAX)[0])
        passed_back = _passes_ratio_test(best_back, cv2.reduce(forward, 0, cv2.REDUCE_MAX)[0])
        found = np.union1d((rows * count + j)[passed], (i * count + columns)[passed_back])
    i, j = np.divmod(found, count)
    return PointPairs(
        query.points[i],
        candidate.points[j],
        candidate.sizes[j] - query.sizes[i],
        candidate.angles[j] - query.angles[i],
    )


def _passes_ratio_test(best: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Compares cosines: the squared distance of unit vectors is 2 − 2 × cosine."""
    return np.asarray(1.0 - best < RATIO**2 * (1.0 - second))


def _geometric_match(
    query: _MatchedFeatures,
    candidate: _MatchedFeatures,
    pairs: PointPairs,
    model: AffineModel,
    mirrored: bool,
) -> GeometricMatch | None:
    """None if the pictures do not overlap under the transform."""
    covered = shared_region(model.matrix, query.corners, candidate.corners)
    if not len(covered):
        return None
    shown, corners = transform_points(model.matrix, covered), distinct_corners(covered)
    features = min(
        count_places(query.points[points_inside(covered, query.points)]),
        count_places(candidate.points[points_inside(shown, candidate.points)]),
    )
    query_unit, unit = max(query.width, query.height), max(candidate.width, candidate.height)
    linear = model.matrix[:, :2] * (unit / query_unit)
    pixels = np.c_[linear, model.matrix[:, 2] * unit]
    if mirrored:
        pixels = pixels @ np.array([[-1.0, 0.0, query.width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        covered = covered * (-1.0, 1.0) + (query.corners[2, 0], 0.0)
    (a, b, c), (d, e, f) = pixels.tolist()
    return GeometricMatch(
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
        query_region=relative_region(covered[corners], query.corners),
        candidate_region=relative_region(shown[corners], candidate.corners),
        query_area=area_share(covered, query.corners),
        candidate_area=area_share(shown, candidate.corners),
    )
