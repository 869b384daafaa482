"""Pairs of like points → the affine transform that most of them agree with, or none.

Each pair proposes a turn, scale and shift by itself (Philbin et al. 2007), and each proposal is
judged by how many other pairs agree with it in place, scale and direction: all proposals are
tried, so nothing is random. The best are refined to affine transforms, and what no edit of a
picture does is refused. Lengths are shares of a picture's long side.
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
_PROPOSALS = 5


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
    agree = _agreeing(pairs)
    votes = agree.sum(axis=1)
    best: Model | None = None
    for proposal in np.argsort(-votes, kind="stable")[:_PROPOSALS]:
        if votes[proposal] < (best.places + 1 if best else MIN_PLACES):
            break
        model = _refined(pairs, int(proposal), agree[proposal])
        if model is not None and (best is None or model.places > best.places):
            best = model
    return best


def _agreeing(pairs: Pairs) -> NDArray[np.bool_]:
    """Proposals × pairs: is the pair where the proposal puts it, as large and as turned?"""
    q, c = pairs.q @ (1, 1j), pairs.c @ (1, 1j)
    factor = np.exp(pairs.scale + 1j * pairs.turn)
    shift = c - factor * q
    error = np.abs(factor[:, None] * q + shift[:, None] - c)
    # Measured in the picture that is shown smaller: there a pixel is worth more.
    agree = error < _TOLERANCE * np.maximum(1.0, np.exp(pairs.scale))[:, None]
    agree &= np.abs(pairs.scale[:, None] - pairs.scale) < _OCTAVE
    agree &= np.cos(pairs.turn[:, None] - pairs.turn) > _ANGLE
    agree[np.abs(pairs.scale) > np.log(_LARGEST_SCALE)] = False
    return agree


def _refined(pairs: Pairs, proposal: int, inliers: NDArray[np.bool_]) -> Model | None:
    similar = np.abs(pairs.scale - pairs.scale[proposal]) < _OCTAVE
    similar &= np.cos(pairs.turn - pairs.turn[proposal]) > _ANGLE
    for tolerance in (_TOLERANCE, _TOLERANCE, 0.6 * _TOLERANCE, 0.6 * _TOLERANCE):
        matrix = _affine(pairs.q[inliers], pairs.c[inliers])
        if matrix is None:
            return None
        shrink = max(1.0, np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        error = np.linalg.norm(moved(matrix, pairs.q) - pairs.c, axis=1) / shrink
        inliers = similar & (error < tolerance)
        if inliers.sum() < MIN_PLACES:
            return None
    spread = min(_spread(pairs.q[inliers]), _spread(pairs.c[inliers]))
    distinct = min(places(pairs.q[inliers]), places(pairs.c[inliers]))
    if distinct < MIN_PLACES or spread < _SMALLEST_SPREAD or not _plausible(matrix):
        return None
    return Model(matrix, distinct, float(np.median(error[inliers])), spread)


def _affine(q: Floats, c: Floats) -> Floats | None:
    """Least squares; a similarity where there are too few points for six parameters."""
    if len(q) < 2:
        return None
    if len(q) >= 6:
        moved, _, rank, _ = np.linalg.lstsq(np.c_[q, np.ones(len(q))], c, rcond=None)
        return np.asarray(moved.T) if rank == 3 else None
    middle_q, middle_c = q.mean(axis=0), c.mean(axis=0)
    z, w = (q - middle_q) @ (1, 1j), (c - middle_c) @ (1, 1j)
    energy = float((np.abs(z) ** 2).sum())
    if energy == 0.0:
        return None
    factor = (z.conj() * w).sum() / energy
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.c_[linear, middle_c - linear @ middle_q]


def moved(matrix: Floats, points: Floats) -> Floats:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _spread(points: Floats) -> float:
    """Standard deviation across the narrowest direction: 0 on a line or in one place."""
    return float(np.sqrt(max(0.0, np.linalg.eigvalsh(np.cov(points.T))[0])))


def places(points: Floats) -> int:
    """Points, all those in one cell counted once."""
    cells = np.floor(points / _SAME_PLACE).astype(np.int64)
    return len(np.unique(cells @ (1_000_003, 1)))


def _plausible(matrix: Floats) -> bool:
    """No reflection, scales within 1/20..20, not stretched more than 2.5 times one way."""
    large, small = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(
        np.linalg.det(matrix[:, :2]) > 0
        and small > 1 / _LARGEST_SCALE
        and large < min(_LARGEST_SCALE, _LARGEST_STRETCH * small)
    )
