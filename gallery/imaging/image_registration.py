"""Do two pictures look the same where one lies upon the other?

Key points say that two pictures share some marks; pictures of one template, signs and cards,
share many and are different all the same. So one picture is laid upon the other as geometry
found it, moved to where it fits best (enhanced correlation coefficient: Evangelidis and
Psarakis, 2008), and what differs is measured place by place: what one edit changes everywhere,
brightness and contrast, does not count, and what differs in one place does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Size = tuple[float, float]
"""Width and height."""

SIDE = 64
"""Pixels of the longer side of what is compared. More shows how each was compressed."""

_WINDOW = 11
"""Pixels a side of one place."""

_QUERY_SIDE = 512
_ITERATIONS = 12
_LEAST = 64
"""Pixels that must be shared."""

_NOISE = 4.0
"""Variance, of 255² levels, below which a place has nothing to compare."""

_NO_BLUR = 1
_TEXTURED = 25.0
_ALIKE_ENOUGH = 0.2
"""Correlation that pictures without a found transform must reach before they are fitted."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two pictures are where they overlap.

    ``correlation`` of lightness, −1 to 1; ``local``: its mean over places with texture, and
    ``worst``: that of the worst tenth of them, 0 where nothing has texture; ``texture``: the
    share of the candidate that is shared and has texture, 0 to 1; ``difference``: 97 % of the
    shared pixels differ by less, in levels of 255, after brightness and contrast were
    evened; ``colour``: how far the colour of half of the pixels is apart, in levels of Lab.
    """

    correlation: float
    local: float
    worst: float
    texture: float
    difference: float
    colour: float


class Looks:
    """A query, reduced once for all of its candidates."""

    def __init__(self, rgb: Pixels) -> None:
        self.height, self.width = rgb.shape[:2]
        self._rgb = _reduced(rgb, _QUERY_SIDE)

    def upon(
        self, candidate: Pixels, matrix: ArrayLike, sizes: tuple[Size, Size]
    ) -> Likeness | None:
        """Likeness under a transform, affine 2 × 3, from pixels of the query to those of the
        candidate as they are when the two have these ``sizes``. None if they hardly overlap."""
        target = _reduced(candidate, SIDE)
        height, width = target.shape[:2]
        (from_width, from_height), (to_width, to_height) = sizes
        to_target = (
            np.diag([width / to_width, height / to_height, 1.0])
            @ _square(matrix)
            @ np.diag([from_width / self.width, from_height / self.height, 1.0])
        )
        return _Pair.of(self, target, to_target).likeness()

    def as_whole(
        self, candidate: Pixels, box: tuple[int, int, int, int] | None = None
    ) -> Likeness | None:
        """Likeness of the query, or of a box of it, to all of the candidate, mirrored or not."""
        left, top, right, bottom = box or (0, 0, self.width, self.height)
        target = _reduced(candidate, SIDE)
        height, width = target.shape[:2]
        x, y = width / (right - left), height / (bottom - top)
        pairs = [
            _Pair.of(self, target, _square([[x, 0, -left * x], [0, y, -top * y]])),
            _Pair.of(self, target, _square([[-x, 0, right * x], [0, y, -top * y]])),
        ]
        best = max(pairs, key=lambda pair: pair.correlation)
        return best.likeness() if best.correlation > _ALIKE_ENOUGH else None


@dataclass(frozen=True)
class _Pair:
    """The query warped onto the candidate. ``shared``: where it covers it."""

    query: Pixels
    target: Pixels
    matrix: NDArray[np.float64]
    warped: Pixels
    shared: NDArray[np.bool_]
    correlation: float

    @classmethod
    def of(cls, looks: Looks, target: Pixels, matrix: NDArray[np.float64]) -> _Pair:
        """``matrix``: 3 × 3, from pixels of the query as it was to those of the target."""
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
        long_side = max(looks.width, looks.height)
        query = _reduced(looks._rgb, max(8, round(min(1.0, scale) * long_side)))
        height, width = query.shape[:2]
        return cls._warped(
            query, target, matrix @ np.diag([looks.width / width, looks.height / height, 1.0])
        )

    @classmethod
    def _warped(cls, query: Pixels, target: Pixels, matrix: NDArray[np.float64]) -> _Pair:
        height, width = target.shape[:2]
        size, border = (width, height), cv2.BORDER_REPLICATE
        warped: Any = cv2.warpAffine(query, matrix[:2], size, borderMode=border)
        covered = np.full(query.shape[:2], 255, np.uint8)
        shared: Any = cv2.warpAffine(covered, matrix[:2], size) > 250
        correlation = _correlation(_grey(warped)[shared], _grey(target)[shared])
        return cls(query, target, matrix, warped, shared, correlation)

    def likeness(self) -> Likeness | None:
        if np.count_nonzero(self.shared) < _LEAST:
            return None
        fitted = self._fitted()
        better = fitted is not None and fitted.correlation > self.correlation
        return _measured(fitted if fitted is not None and better else self)

    def _fitted(self) -> _Pair | None:
        """Moved to where it correlates best; None if that leads nowhere."""
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, 1e-3)
        covered = np.full(self.query.shape[:2], 255, np.uint8)
        try:
            back: Any = np.linalg.inv(self.matrix)[:2].astype(np.float32)
            _, fitted = cv2.findTransformECC(
                _grey(self.target),
                _grey(self.query),
                back,
                cv2.MOTION_AFFINE,
                stop,
                covered,
                _NO_BLUR,
            )
            matrix: Any = np.linalg.inv(_square(np.asarray(fitted)))
        except (cv2.error, np.linalg.LinAlgError):
            return None
        moved = self._warped(self.query, self.target, matrix)
        return moved if np.count_nonzero(moved.shared) >= _LEAST else None


def _measured(pair: _Pair) -> Likeness:
    shared = pair.shared
    a, b = _lab(pair.warped), _lab(pair.target)
    x, y = a[..., 0][shared], b[..., 0][shared]
    local, contrast = _places(a[..., 0], b[..., 0], shared)
    chroma = np.linalg.norm(a[..., 1:][shared] - b[..., 1:][shared], axis=-1)
    return Likeness(
        correlation=pair.correlation,
        local=float(np.average(local, weights=contrast)) if len(local) else 0.0,
        worst=float(np.quantile(local, 0.1)) if len(local) else 0.0,
        texture=len(local) / shared.size,
        difference=float(np.quantile(np.abs(_evened(x, y) - y), 0.97)),
        colour=float(np.median(chroma)),
    )


def _places(a: Floats, b: Floats, shared: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The correlation around each shared pixel with texture, and how much contrast it has."""
    inside = shared.astype(np.float32)
    area = _summed(inside) + 1e-3
    a, b = a * inside, b * inside
    mean_a, mean_b = _summed(a) / area, _summed(b) / area
    var_a = np.maximum(_summed(a * a) / area - mean_a**2, 0)
    var_b = np.maximum(_summed(b * b) / area - mean_b**2, 0)
    together = _summed(a * b) / area - mean_a * mean_b
    local = (together + _NOISE) / np.sqrt((var_a + _NOISE) * (var_b + _NOISE))
    contrast = np.maximum(var_a, var_b)
    chosen = shared & (area > _WINDOW**2 / 2) & (contrast > _TEXTURED)
    return local[chosen], np.sqrt(contrast[chosen])


def _evened(x: Floats, y: Floats) -> Floats:
    """x with the brightness and contrast of y; what differs a lot has little say in them."""
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


def _correlation(x: Floats, y: Floats) -> float:
    if len(x) < _LEAST or min(x.std(), y.std()) < 1.0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _summed(values: Floats) -> Floats:
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
    if scale >= 1 and long_side != SIDE:
        return rgb
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _square(matrix: ArrayLike) -> NDArray[np.float64]:
    """3 × 3 of 2 × 3."""
    return np.vstack([np.asarray(matrix, np.float64)[:2], [0.0, 0.0, 1.0]])
