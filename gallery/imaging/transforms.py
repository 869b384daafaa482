"""Pairs of like points → the affine transform that most of them agree with, or none.

Each pair proposes a turn, scale and shift by itself (Philbin et al. 2007), and each proposal is
judged by how many other pairs agree with it in place, scale and direction: there are few enough
to try them all, and nothing is random. The best are refined to affine transforms, and what no edit
of a picture does is refused. Lengths are shares of a picture's long side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_PLACES = 5
"""Fewer say nothing: most pairs of unlike pictures find 3 or 4."""

_TOLERANCE = 0.02
"""How far a point may lie from where it should, in the picture that is shown smaller."""

_ANGLE = np.cos(np.deg2rad(30.0))
_OCTAVE = np.log(2.0)
_LARGEST_SCALE = 20.0
_LARGEST_STRETCH = 2.5
_SAME_PLACE = 0.012
_SMALLEST_SPREAD = 0.01
_FLAT = 1e-9
_PROPOSALS = 128
"""The first pairs, which have the strongest features. More found nothing more."""

_REFINED = 5


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs. ``q`` and ``c``: n × 2 points; ``scale`` (logarithm) and ``turn`` (radians): what
    each pair proposes for the step from q to c."""

    q: Floats
    c: Floats
    scale: Floats
    turn: Floats


@dataclass(frozen=True, slots=True)
class Model:
    """``matrix``: q → c, 2 × 3. ``places``: distinct places that agree. ``residual``: their median
    error in the picture that is shown smaller. ``spread``: their standard deviation across their
    narrowest direction, the smaller of the two pictures'."""

    matrix: Floats
    places: int
    residual: float
    spread: float


def fit(pairs: Pairs) -> Model | None:
    """The transform that most places agree with; None if there is no sound one."""
    if len(pairs.q) < MIN_PLACES:
        return None
    similar, agree = _agreeing(pairs)
    votes = agree.sum(axis=1)
    best: Model | None = None
    for proposal in np.argsort(-votes, kind="stable")[:_REFINED]:
        if votes[proposal] < (best.places + 1 if best else MIN_PLACES):
            break
        model = _refined(pairs, similar[proposal], agree[proposal])
        if model is not None and (best is None or model.places > best.places):
            best = model
    return best


def _agreeing(pairs: Pairs) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Proposals × pairs: is the pair scaled and turned alike; and is it also where the proposal
    puts it?"""
    scale, turn = pairs.scale.astype(np.float32), np.exp(1j * pairs.turn).astype(np.complex64)
    q, c = (pairs.q @ (1, 1j)).astype(np.complex64), (pairs.c @ (1, 1j)).astype(np.complex64)
    proposals = slice(_PROPOSALS)
    similar = np.abs(scale[proposals, None] - scale) < _OCTAVE
    similar &= (turn[proposals, None] * turn.conj()).real > _ANGLE
    similar[np.abs(scale[proposals]) > np.log(_LARGEST_SCALE)] = False
    factor = (np.exp(scale) * turn)[proposals, None]
    error = factor * (q - q[proposals, None]) - (c - c[proposals, None])
    # Measured in the picture that is shown smaller: there a pixel is worth more.
    tolerance = _TOLERANCE * np.maximum(1.0, np.exp(scale[proposals, None]))
    return similar, similar & (error.real**2 + error.imag**2 < tolerance**2)


def _refined(pairs: Pairs, similar: NDArray[np.bool_], inliers: NDArray[np.bool_]) -> Model | None:
    for tolerance in (_TOLERANCE, _TOLERANCE, 0.6 * _TOLERANCE, 0.6 * _TOLERANCE):
        estimate = _affine(pairs.q[inliers], pairs.c[inliers])
        if estimate is None:
            return None
        matrix = estimate
        shrink = max(1.0, np.sqrt(abs(_determinant(matrix))))
        offset = moved(matrix, pairs.q) - pairs.c
        error = np.hypot(offset[:, 0], offset[:, 1]) / shrink
        inliers = similar & (error < tolerance)
        if np.count_nonzero(inliers) < MIN_PLACES:
            return None
    q, c = pairs.q[inliers], pairs.c[inliers]
    spread, distinct = min(_spread(q), _spread(c)), min(places(q), places(c))
    if distinct < MIN_PLACES or spread < _SMALLEST_SPREAD or not _plausible(matrix):
        return None
    return Model(matrix, distinct, float(np.median(error[inliers])), spread)


def _affine(q: Floats, c: Floats) -> Floats | None:
    """Least squares; a similarity where there are too few points for six parameters. None if the
    points do not determine it."""
    middle_q, middle_c = q.mean(axis=0), c.mean(axis=0)
    q, c = q - middle_q, c - middle_c
    if len(q) < 6:
        z, w = q @ (1, 1j), c @ (1, 1j)
        energy = float(np.vdot(z, z).real)
        factor = np.vdot(z, w) / energy if energy > 0.0 else 0j
        linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
        determined = energy > 0.0
    else:
        moments = q.T @ q
        determined = _determinant(moments) > _FLAT * moments.trace() ** 2
        linear = np.linalg.solve(moments, q.T @ c).T if determined else moments
    return np.c_[linear, middle_c - linear @ middle_q] if determined else None


def moved(matrix: Floats, points: Floats) -> Floats:
    """n × 2 points, transformed."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def places(points: Floats) -> int:
    """Points, all those in one cell counted once."""
    cells = np.floor(points / _SAME_PLACE).astype(np.int64)
    return len(set((cells @ (1_000_003, 1)).tolist()))


def _spread(points: Floats) -> float:
    """Standard deviation across the narrowest direction: 0 on a line or in one place."""
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
