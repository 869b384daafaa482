"""Image registration: warps one picture onto another and measures how similar they are.

Different pictures of one template, such as signs and cards, share many key points. So the query is
warped by the transform that geometry found, refined to the best fit (enhanced correlation
coefficient: Evangelidis and Psarakis, 2008), and compared place by place. Changes of the whole
picture, as of brightness and contrast, do not count; local ones do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.pixels import Box, Pixels, whole_box, working_copy
from gallery.imaging.transforms import as_3x3
from gallery.imaging.trimming import trim

Floats = NDArray[np.float32]
Size = tuple[float, float]
"""Width and height."""

COMPARED_SIDE = 64
"""Long side of the compared pictures; more pixels show how each was compressed."""

_WINDOW = 11
"""Side of a local window, in pixels."""

_QUERY_SIDE = 512
_ITERATIONS = 12
_MIN_SHARED_PIXELS = 64

_NOISE = 4.0
"""Variance, of 255², below which a window has nothing to compare."""

_NO_BLUR = 1
_TEXTURED = 25.0
_MIN_CORRELATION = 0.2
"""Least correlation of pictures without a geometric match; others are not refined."""


@dataclass(frozen=True, slots=True)
class RegistrationSimilarity:
    """How similar two registered pictures are where they overlap.

    ``correlation``: of lightness, −1..1. ``local``: its mean over windows with texture; ``worst``:
    its 10th percentile there; both are 0 without texture. ``texture``, 0..1: the share of the
    candidate that overlaps and has texture. ``difference``: the 97th percentile of the differences
    of lightness, of 255, after brightness and contrast were matched. ``colour``: the median
    difference of colour, in levels of Lab.
    """

    correlation: float
    local: float
    worst: float
    texture: float
    difference: float
    colour: float


class Registration:
    """A query, reduced once for all of its candidates, when the first one is compared.

    ``inner_box``: the part within its plain margins, with which whole candidates are compared. If
    it is not given, it is found when it is needed.
    """

    def __init__(self, rgb: Pixels, *, inner_box: Box | None = None) -> None:
        self.height, self.width = rgb.shape[:2]
        self._rgb, self._given_box = rgb, inner_box
        self._reduced: dict[int, Pixels] = {}

    def reduced(self, long_side: int) -> Pixels:
        """Return the query reduced to ``long_side``, or to the side kept for all candidates."""
        if long_side not in self._reduced:
            self._reduced[long_side] = _reduced(self._kept, long_side)
        return self._reduced[long_side]

    @cached_property
    def _kept(self) -> Pixels:
        return _reduced(working_copy(self._rgb), _QUERY_SIDE)

    def compare(
        self, candidate: Pixels, match: GeometricMatch | None
    ) -> RegistrationSimilarity | None:
        """Compare as geometry found, or whole; None if they do not overlap or correlate."""
        if match is None:
            return self.compare_whole(candidate)
        sizes = match.query_size, match.candidate_size
        return self.compare_transformed(candidate, match.matrix, sizes)

    def compare_transformed(
        self, candidate: Pixels, matrix: ArrayLike, sizes: tuple[Size, Size]
    ) -> RegistrationSimilarity | None:
        """Compare under an affine transform, 2 × 3, from the query to the candidate.

        The transform is in pixels of pictures of these ``sizes`` (query, candidate). None if they
        hardly overlap.
        """
        target = _Target.of(candidate)
        height, width = target.rgb.shape[:2]
        (from_width, from_height), (to_width, to_height) = sizes
        to_target = (
            np.diag([width / to_width, height / to_height, 1.0])
            @ as_3x3(matrix)
            @ np.diag([from_width / self.width, from_height / self.height, 1.0])
        )
        return _RegisteredPair.of(self, target, to_target).similarity()

    def compare_whole(self, candidate: Pixels) -> RegistrationSimilarity | None:
        """Compare the query without its margins with the whole candidate, mirrored or not.

        None if they do not correlate.
        """
        left, top, right, bottom = self._inner_box
        target = _Target.of(candidate)
        height, width = target.rgb.shape[:2]
        x, y = width / (right - left), height / (bottom - top)
        pairs = [
            _RegisteredPair.of(self, target, as_3x3([[x, 0, -left * x], [0, y, -top * y]])),
            _RegisteredPair.of(self, target, as_3x3([[-x, 0, right * x], [0, y, -top * y]])),
        ]
        best = max(pairs, key=lambda pair: pair.correlation)
        return best.similarity() if best.correlation > _MIN_CORRELATION else None

    @cached_property
    def _inner_box(self) -> Box:
        return self._given_box or trim(self._rgb) or whole_box(self._rgb)


@dataclass(frozen=True)
class _Target:
    """A candidate, reduced, and its grey levels."""

    rgb: Pixels
    grey: Floats

    @classmethod
    def of(cls, candidate: Pixels) -> _Target:
        rgb = _reduced(candidate, COMPARED_SIDE)
        return cls(rgb, _grey(rgb))


@dataclass(frozen=True)
class _RegisteredPair:
    """The query warped onto the candidate. ``shared``: the pixels that it covers."""

    query: Pixels
    target: _Target
    matrix: NDArray[np.float64]
    warped: Pixels
    shared: NDArray[np.bool_]
    correlation: float

    @classmethod
    def of(
        cls, registration: Registration, target: _Target, matrix: NDArray[np.float64]
    ) -> _RegisteredPair:
        """``matrix``: 3 × 3, from pixels of the unreduced query to those of the target."""
        (a, b), (c, d) = matrix[:2, :2].tolist()
        scale = math.sqrt(abs(a * d - b * c))
        long_side = max(registration.width, registration.height)
        query = registration.reduced(max(8, round(min(1.0, scale) * long_side)))
        height, width = query.shape[:2]
        return cls._warped(
            query,
            target,
            matrix @ np.diag([registration.width / width, registration.height / height, 1.0]),
        )

    @classmethod
    def _warped(
        cls, query: Pixels, target: _Target, matrix: NDArray[np.float64]
    ) -> _RegisteredPair:
        height, width = target.grey.shape
        size, border = (width, height), cv2.BORDER_REPLICATE
        warped: Any = cv2.warpAffine(query, matrix[:2], size, borderMode=border)
        covered = np.full(query.shape[:2], 255, np.uint8)
        shared: Any = cv2.warpAffine(covered, matrix[:2], size) > 250
        correlation = _correlation(_grey(warped)[shared], target.grey[shared])
        return cls(query, target, matrix, warped, shared, correlation)

    def similarity(self) -> RegistrationSimilarity | None:
        if np.count_nonzero(self.shared) < _MIN_SHARED_PIXELS:
            return None
        fitted = self._fitted()
        better = fitted is not None and fitted.correlation > self.correlation
        return _similarity_of(fitted if fitted is not None and better else self)

    def _fitted(self) -> _RegisteredPair | None:
        """Refine to the best correlation; None if that fails."""
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, 1e-3)
        covered = np.full(self.query.shape[:2], 255, np.uint8)
        try:
            back: Any = np.linalg.inv(self.matrix)[:2].astype(np.float32)
            _, fitted = cv2.findTransformECC(
                self.target.grey,
                _grey(self.query),
                back,
                cv2.MOTION_AFFINE,
                stop,
                covered,
                _NO_BLUR,
            )
            matrix: Any = np.linalg.inv(as_3x3(np.asarray(fitted)))
        except (cv2.error, np.linalg.LinAlgError):
            return None
        moved = self._warped(self.query, self.target, matrix)
        return moved if np.count_nonzero(moved.shared) >= _MIN_SHARED_PIXELS else None


def _similarity_of(pair: _RegisteredPair) -> RegistrationSimilarity:
    shared = pair.shared
    a, b = _lab(pair.warped), _lab(pair.target.rgb)
    x, y = a[..., 0][shared], b[..., 0][shared]
    local, contrast = _local_correlations(a[..., 0], b[..., 0], shared)
    chroma = np.linalg.norm(a[..., 1:][shared] - b[..., 1:][shared], axis=-1)
    return RegistrationSimilarity(
        correlation=pair.correlation,
        local=float(np.average(local, weights=contrast)) if len(local) else 0.0,
        worst=float(np.quantile(local, 0.1)) if len(local) else 0.0,
        texture=len(local) / shared.size,
        difference=float(np.quantile(np.abs(_with_contrast_of(x, y) - y), 0.97)),
        colour=float(np.median(chroma)),
    )


def _local_correlations(a: Floats, b: Floats, shared: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the correlation around each shared pixel with texture, and the contrast there."""
    inside = shared.astype(np.float32)
    area = _window_sums(inside) + 1e-3
    a, b = a * inside, b * inside
    mean_a, mean_b = _window_sums(a) / area, _window_sums(b) / area
    var_a = np.maximum(_window_sums(a * a) / area - mean_a**2, 0)
    var_b = np.maximum(_window_sums(b * b) / area - mean_b**2, 0)
    together = _window_sums(a * b) / area - mean_a * mean_b
    local = (together + _NOISE) / np.sqrt((var_a + _NOISE) * (var_b + _NOISE))
    contrast = np.maximum(var_a, var_b)
    chosen = shared & (area > _WINDOW**2 / 2) & (contrast > _TEXTURED)
    return local[chosen], np.sqrt(contrast[chosen])


def _with_contrast_of(x: Floats, y: Floats) -> Floats:
    """Match the brightness and contrast of x to y, by a fit that gives outliers little weight."""
    weights = np.ones_like(x)
    fitted = x
    for _ in range(4):
        total = weights.sum()
        mean_x, mean_y = (weights * x).sum() / total, (weights * y).sum() / total
        slope = (weights * (x - mean_x) * (y - mean_y)).sum() / (
            (weights * (x - mean_x) ** 2).sum() + total / 4
        )
        fitted = mean_y + np.clip(slope, 0.3, 3.0) * (x - mean_x)
        off = np.abs(y - fitted)
        scale = max(2.0, 1.5 * float(np.median(off)))
        weights = 1 / (1 + (off / (2 * scale)) ** 2) ** 2
    return np.asarray(fitted, np.float32)


def _correlation(first: Floats, second: Floats) -> float:
    count = len(first)
    if count < _MIN_SHARED_PIXELS:
        return 0.0
    # numpy's corrcoef takes three times as long, and each candidate is compared three times.
    x, y = first.astype(np.float64), second.astype(np.float64)
    x -= x.mean()
    y -= y.mean()
    of_x, of_y = float(x @ x), float(y @ y)
    return float(x @ y) / math.sqrt(of_x * of_y) if min(of_x, of_y) >= count else 0.0


def _window_sums(values: Floats) -> Floats:
    size = (_WINDOW, _WINDOW)
    summed = cv2.boxFilter(values, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, np.float32)


def _grey(rgb: Pixels) -> Floats:
    return cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (5, 5), 1.0).astype(np.float32)


def _lab(rgb: Pixels) -> Floats:
    return cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), (5, 5), 1.0).astype(np.float32)


def _reduced(rgb: Pixels, long_side: int) -> Pixels:
    height, width = rgb.shape[:2]
    scale = long_side / max(width, height)
    if scale >= 1 and long_side != COMPARED_SIDE:
        return rgb
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
