"""The calibrated confidence that one picture is a copy of another.

Each match type has a logistic model. All features support a copy and no weight is negative, so
missing evidence lowers nothing: verification finds little in blurred pictures, which must not
outweigh a strong global match. ``benchmarks/fit_confidence.py`` fits the weights on pictures that
no test uses, and writes ``confidence.json`` with date and data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.image_registration import RegistrationSimilarity

MATCH_TYPES = ("copy", "auto")
SAME_FILE_LOGIT = 100.0
"""Log-odds of the same file: higher than any evidence gives."""
METHODS = ("cnn", "part", "pdq", "imgsmlr", "clip")
PARAMETERS = Path(__file__).with_name("confidence.json")

FEATURES: Mapping[str, tuple[str, ...]] = {
    "copy": (
        *("inliers", "many_inliers", "support", "cnn", "cnn_closest", "part"),
        *("exact", "clean", "proven", "colour"),
    ),
    "auto": (
        *("inliers", "many_inliers", "support", "cnn", "cnn_closest", "part"),
        *("exact", "clean", "proven", "colour"),
        *("pdq", "pdq_close", "imgsmlr"),
    ),
}
"""Features of each model, in the order of its weights; each ≥ 0, more is stronger."""


@dataclass(frozen=True, slots=True)
class CopyEvidence:
    """Evidence about a query and one image; None where a method has no result.

    ``cnn``: cosine distance, 0 to 2, of the whole query; ``part``: of a part of it. ``pdq``:
    Hamming distance, 0 to 256. ``imgsmlr``: pattern distance. ``clip``: cosine distance; it only
    proposes images, as it was never calibrated. Each is the least over the views compared.
    ``match``: by geometry. ``similarity``: after registration, of the strongest candidates only.
    ``same_file``: the bytes are the same.
    """

    cnn: float | None = None
    part: float | None = None
    pdq: float | None = None
    imgsmlr: float | None = None
    clip: float | None = None
    match: GeometricMatch | None = None
    similarity: RegistrationSimilarity | None = None
    same_file: bool = False

    @classmethod
    def of(cls, distances: Mapping[str, float | None], *, same_file: bool = False) -> CopyEvidence:
        cnn, part, pdq, imgsmlr, clip = map(distances.get, METHODS)
        return cls(cnn, part, pdq, imgsmlr, clip, same_file=same_file)

    def methods(self) -> dict[str, float]:
        """Return the known distances by method, rounded to six digits."""
        named = {name: getattr(self, name) for name in METHODS}
        return {name: round(value, 6) for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Calibration:
    """The parameters of one match type. ``precise`` and ``recall`` are distances."""

    bias: float
    weights: tuple[float, ...]
    precise: float
    recall: float


def logit(evidence: CopyEvidence, match_type: str) -> float:
    """Return log-odds. They also order results whose confidence rounds to 1."""
    if evidence.same_file:
        return SAME_FILE_LOGIT
    calibration = calibrations()[match_type]
    # A search weighs hundreds of candidates, for which numpy's arrays take ten times as long.
    support: float = sum(map(mul, _values(evidence, match_type), calibration.weights))
    return calibration.bias + support


def logits_of_vectors(
    whole: NDArray[np.floating], part: NDArray[np.floating], match_type: str
) -> NDArray[np.float64]:
    """Return the ``logit`` of many pictures from cosine distances only: to the whole query and to a
    part of it. 2 stands for an unknown distance."""
    calibration = calibrations()[match_type]
    weights = dict(zip(FEATURES[match_type], calibration.weights, strict=True))
    alike = np.maximum(0.0, 1.0 - np.asarray(whole, np.float64))
    return np.asarray(
        calibration.bias
        + weights["cnn"] * alike
        + weights["cnn_closest"] * np.maximum(0.0, alike - 0.8)
        + weights["part"] * np.maximum(0.0, 1.0 - np.asarray(part, np.float64))
    )


def logit_with_part(evidence: CopyEvidence, match_type: str) -> float:
    """Return the ``logit`` if a part of the query had the same vector as the image."""
    return logit(replace(evidence, part=0.0), match_type)


def logit_of_distance(distance: float) -> float:
    """Return the log-odds at which a distance of 0 to 1 is reached."""
    if not 0.0 < distance < 1.0:
        return math.inf if distance <= 0.0 else -math.inf
    return math.log((1.0 - distance) / distance)


def confidence(evidence: CopyEvidence, match_type: str) -> float:
    """Return the probability that it is a copy, 0 to 1. ``match_type``: copy or auto."""
    return probability(logit(evidence, match_type))


def probability(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, logit))))


def distance(evidence: CopyEvidence, match_type: str, digits: int = 6) -> float:
    """Return 1 − confidence, rounded. ``match_type``: copy or auto."""
    return distance_of(logit(evidence, match_type), digits)


def distance_of(logit: float, digits: int = 6) -> float:
    return round(1.0 - probability(logit), digits)


def certainty(distance: float, match_type: str) -> str:
    """Return "sure" within the precise threshold, "likely" to even odds, "unlikely" beyond.

    ``match_type``: copy or auto.
    """
    if distance <= calibrations()[match_type].precise:
        return "sure"
    return "likely" if distance <= 0.5 else "unlikely"


def of_distance(distance: float) -> float:
    return max(0.0, 1.0 - distance)


def features(evidence: CopyEvidence, match_type: str) -> NDArray[np.float64]:
    return np.array(_values(evidence, match_type))


def _values(evidence: CopyEvidence, match_type: str) -> tuple[float, ...]:
    """Return the features in the order of ``FEATURES``."""
    inliers, many_inliers, support = _of_geometry(evidence.match)
    exact, clean, colour = _of_similarity(evidence.similarity)
    cosine = 0.0 if evidence.cnn is None else max(0.0, 1.0 - evidence.cnn)
    values = (
        *(inliers, many_inliers, support, cosine, max(0.0, cosine - 0.8)),
        *(_nearness(evidence.part, 1.0), exact, clean),
        # Two independent methods that agree are stronger evidence than each alone.
        inliers * exact,
        colour,
    )
    if match_type == "copy":
        return values
    return (
        *values,
        _nearness(evidence.pdq, 128),
        _nearness(evidence.pdq, 52),
        _nearness(evidence.imgsmlr, 2),
    )


def _of_geometry(match: GeometricMatch | None) -> tuple[float, float, float]:
    """Return ``inliers``, ``many_inliers`` and ``support``."""
    if match is None:
        return 0.0, 0.0, 0.0
    return (
        # Unrelated pictures reach 4 inliers; each doubling counts the same.
        min(6.0, math.log2(match.inliers / 4)),
        # Different pictures of one template reach 20.
        min(3.0, max(0.0, math.log2(match.inliers / 20))),
        match.support,
    )


def _nearness(distance: float | None, far: float) -> float:
    return 0.0 if distance is None else max(0.0, 1.0 - distance / far)


def _of_similarity(similarity: RegistrationSimilarity | None) -> tuple[float, float, float]:
    """Return ``exact``, ``clean`` and ``colour``."""
    if similarity is None:
        return 0.0, 0.0, 0.0
    # Equal everywhere, with enough texture to be significant.
    exact = (
        _ramp(similarity.correlation, 0.97, 1.0)
        * _ramp(similarity.worst, 0.8, 1.0)
        * _ramp(similarity.texture, 0.0, 0.3)
    )
    alike = _ramp(similarity.correlation, 0.8, 1.0) * _ramp(similarity.local, 0.7, 1.0)
    return (
        exact,
        exact * _ramp(similarity.difference, 15.0, 0.0),
        alike * _ramp(similarity.colour, 6.0, 0.0),
    )


def _ramp(value: float, zero: float, one: float) -> float:
    """Return 0 at ``zero`` and beyond, 1 at ``one`` and beyond, linear between."""
    return min(1.0, max(0.0, (value - zero) / (one - zero)))


@cache
def calibrations() -> Mapping[str, Calibration]:
    data: dict[str, Any] = json.loads(PARAMETERS.read_text())
    return {
        name: Calibration(
            bias=data[name]["bias"],
            weights=tuple(float(data[name]["weights"][feature]) for feature in FEATURES[name]),
            precise=data[name]["precise"],
            recall=data[name]["recall"],
        )
        for name in MATCH_TYPES
    }
