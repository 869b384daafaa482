"""Finds the affine transform that most pairs of similar points agree with, or none.

Each pair alone proposes a rotation, scale and shift (Philbin et al. 2007), and each proposal is
rated by the number of pairs that agree in place, scale and direction. There are few enough to try
all, so nothing is random. The best are refined to affine transforms; implausible ones are rejected.
Lengths are shares of a picture's long side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MIN_PLACES = 5
"""Fewer prove nothing: most pairs of unrelated pictures reach 3 or 4."""

_TOLERANCE = 0.02
"""The largest error of an inlier, in the picture that is shown smaller."""

_ANGLE = np.cos(np.deg2rad(30.0))
_OCTAVE = np.log(2.0)
_LARGEST_SCALE = 20.0
_LARGEST_STRETCH = 2.5
_SAME_PLACE = 0.012
_SMALLEST_SPREAD = 0.01
_FLAT = 1e-9
_PROPOSALS = 128
"""The first pairs, which have the strongest features. Trying more found no more matches."""

_REFINED = 5


@dataclass(frozen=True, slots=True)
class PointPairs:
    """n pairs of points, ``q`` and ``c`` (n × 2), and the ``scale`` (logarithm) and ``turn``
    (radians) from q to c that each pair proposes."""

    q: Floats
    c: Floats
    scale: Floats
    turn: Floats


@dataclass(frozen=True, slots=True)
class AffineModel:
    """``matrix``: q → c, 2 × 3. ``places``: number of distinct inliers. ``residual``: their median
    error in the picture that is shown smaller. ``spread``: their standard deviation in their
    narrowest direction, the smaller of both pictures'."""

    matrix: Floats
    places: int
    residual: float
    spread: float


def fit_affine(pairs: PointPairs) -> AffineModel | None:
    """Return the transform with the most inliers; None if there is no plausible one."""
    if len(pairs.q) < MIN_PLACES:
        return None
    similar, agree = _agreement(pairs)
    votes = agree.sum(axis=1)
    best: AffineModel | None = None
    for proposal in np.argsort(-votes, kind="stable")[:_REFINED]:
        if votes[proposal] < (best.places + 1 if best else MIN_PLACES):
            break
        model = _refined(pairs, similar[proposal], agree[proposal])
        if model is not None and (best is None or model.places > best.places):
            best = model
    return best


def _agreement(pairs: PointPairs) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two arrays, proposals × pairs: whether scale and turn agree; whether the place does, too."""
    scale, turn = pairs.scale.astype(np.float32), np.exp(1j * pairs.turn).astype(np.complex64)
    q, c = (pairs.q @ (1, 1j)).astype(np.complex64), (pairs.c @ (1, 1j)).astype(np.complex64)
    proposals = slice(_PROPOSALS)
    similar = np.abs(scale[proposals, None] - scale) < _OCTAVE
    similar &= (turn[proposals, None] * turn.conj()).real > _ANGLE
    similar[np.abs(scale[proposals]) > np.log(_LARGEST_SCALE)] = False
    factor = (np.exp(scale) * turn)[proposals, None]
    error = factor * (q - q[proposals, None]) - (c - c[proposals, None])
    # Errors are measured in the picture that is shown smaller, where a pixel means more.
    tolerance = _TOLERANCE * np.maximum(1.0, np.exp(scale[proposals, None]))
    return similar, similar & (error.real**2 + error.imag**2 < tolerance**2)


def _refined(
    pairs: PointPairs, similar: NDArray[np.bool_], inliers: NDArray[np.bool_]
) -> AffineModel | None:
    for tolerance in (_TOLERANCE, _TOLERANCE, 0.6 * _TOLERANCE, 0.6 * _TOLERANCE):
        estimate = _affine(pairs.q[inliers], pairs.c[inliers])
        if estimate is None:
            return None
        matrix = estimate
        shrink = max(1.0, np.sqrt(abs(_determinant(matrix))))
        offset = transform_points(matrix, pairs.q) - pairs.c
        error = np.sqrt((offset * offset) @ (1.0, 1.0)) / shrink
        inliers = similar & (error < tolerance)
        if np.count_nonzero(inliers) < MIN_PLACES:
            return None
    q, c = pairs.q[inliers], pairs.c[inliers]
    spread, distinct = min(_spread(q), _spread(c)), min(count_places(q), count_places(c))
    if distinct < MIN_PLACES or spread < _SMALLEST_SPREAD or not _plausible(matrix):
        return None
    return AffineModel(matrix, distinct, float(np.median(error[inliers])), spread)


def _affine(q: Floats, c: Floats) -> Floats | None:
    """Fit by least squares; a similarity for fewer than 6 points. None if undetermined."""
    # This runs thousands of times a search, on few points: numpy's helpers would take most of it.
    middle_q, middle_c = q.sum(axis=0) / len(q), c.sum(axis=0) / len(c)
    q, c = q - middle_q, c - middle_c
    if len(q) < 6:
        z, w = q @ (1, 1j), c @ (1, 1j)
        energy = float(np.vdot(z, z).real)
        factor = np.vdot(z, w) / energy if energy > 0.0 else 0j
        linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
        determined = energy > 0.0
    else:
        moments = q.T @ q
        (xx, xy), (_, yy) = moments.tolist()
        determinant = xx * yy - xy * xy
        determined = determinant > _FLAT * (xx + yy) ** 2
        inverse = np.array([[yy, -xy], [-xy, xx]]) / (determinant if determined else 1.0)
        linear = (inverse @ (q.T @ c)).T
    if not determined:
        return None
    matrix = np.empty((2, 3))
    matrix[:, :2], matrix[:, 2] = linear, middle_c - linear @ middle_q
    return matrix


def as_3x3(matrix: ArrayLike) -> Floats:
    """Add the row 0, 0, 1 to an affine 2 × 3 matrix."""
    return np.vstack([np.asarray(matrix, np.float64)[:2], (0.0, 0.0, 1.0)])


def transform_points(matrix: Floats, points: Floats) -> Floats:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def count_places(points: Floats) -> int:
    """Return the number of distinct points: those in one cell count once."""
    cells = np.floor(points / _SAME_PLACE).astype(np.int64)
    return len(set((cells @ (1_000_003, 1)).tolist()))


def _spread(points: Floats) -> float:
    """Return the standard deviation in the narrowest direction: 0 on a line or in one place."""
    points = points - points.mean(axis=0)
    (a, b), (_, d) = (points.T @ points / len(points)).tolist()
    return float(np.sqrt(max(0.0, (a + d) / 2 - np.hypot((a - d) / 2, b))))


def _determinant(matrix: Floats) -> float:
    (a, b), (c, d) = matrix[:, :2].tolist()
    return float(a * d - b * c)


def _plausible(matrix: Floats) -> bool:
    """No reflection, scales within 1/20..20, not stretched more than 2.5 times one way."""
    large, small = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(
        _determinant(matrix) > 0
        and small > 1 / _LARGEST_SCALE
        and large < min(_LARGEST_SCALE, _LARGEST_STRETCH * small)
    )
