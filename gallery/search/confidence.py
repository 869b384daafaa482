"""How sure is it that one picture is a copy of another? Evidence in, a calibrated number out.

A logistic model per match type over a few numbers that can only speak for a copy: no weight is
negative and nothing that is missing counts against, so that a strong global match is not buried
by a verification that found nothing, as it does in blurred pictures. The weights were fitted on
pictures that no test uses: ``benchmarks/fit_confidence.py`` wrote ``confidence.json``, which
says when and from what.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.geometry import Match
from gallery.imaging.image_registration import Likeness

MATCH_TYPES = ("copy", "auto")
CERTAIN = 100.0
"""Log-odds of the same file: more than any evidence gives."""
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
"""What each model reads, in the order of its weights; each ≥ 0, and more is stronger."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found about a query and one image; None where a method could not say anything.

    ``cnn``: cosine distance, 0 to 2, of the whole query; ``part``: of a part of it. ``pdq``:
    Hamming distance, 0 to 256. ``imgsmlr``: pattern distance. ``clip``: cosine distance; it
    proposes images but weighs nothing here, as no weights were there to calibrate it with. Each
    is the least over the views compared. ``match``: what geometry found. ``likeness``: how alike
    they look where one lies upon the other, of the strongest candidates only. ``same_file``: the
    same bytes, which leaves no doubt.
    """

    cnn: float | None = None
    part: float | None = None
    pdq: float | None = None
    imgsmlr: float | None = None
    clip: float | None = None
    match: Match | None = None
    likeness: Likeness | None = None
    same_file: bool = False

    @classmethod
    def of(cls, distances: Mapping[str, float | None]) -> Evidence:
        """Evidence without a match, from distances by method."""
        cnn, part, pdq, imgsmlr, clip = map(distances.get, METHODS)
        return cls(cnn, part, pdq, imgsmlr, clip)

    def methods(self) -> dict[str, float]:
        """The distances that are known, by method, rounded as answers show them."""
        named = {name: getattr(self, name) for name in METHODS}
        return {name: round(value, 6) for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Calibration:
    """The parameters of one match type. ``precise`` … ``recall``: distances, 1 − confidence."""

    bias: float
    weights: NDArray[np.float64]
    precise: float
    recall: float


def logit(evidence: Evidence, match_type: str) -> float:
    """Log-odds that it is a copy: orders results also where confidence is 1 to six places."""
    if evidence.same_file:
        return CERTAIN
    calibration = calibrations()[match_type]
    return calibration.bias + float(features(evidence, match_type) @ calibration.weights)


def logits_of_vectors(
    whole: NDArray[np.floating], part: NDArray[np.floating], match_type: str
) -> NDArray[np.float64]:
    """``logit`` of many pictures of which no more is known than their cosine distances to all of
    the query and to a part of it; 2 where a method could not say anything."""
    calibration = calibrations()[match_type]
    weights = dict(zip(FEATURES[match_type], calibration.weights.tolist(), strict=True))
    alike = np.maximum(0.0, 1.0 - np.asarray(whole, np.float64))
    return np.asarray(
        calibration.bias
        + weights["cnn"] * alike
        + weights["cnn_closest"] * np.maximum(0.0, alike - 0.8)
        + weights["part"] * np.maximum(0.0, 1.0 - np.asarray(part, np.float64))
    )


def confidence(evidence: Evidence, match_type: str) -> float:
    """Probability that it is a copy, 0 to 1. ``match_type``: copy or auto."""
    return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, logit(evidence, match_type)))))


def distance(evidence: Evidence, match_type: str) -> float:
    """1 − confidence, to six places. ``match_type``: copy or auto."""
    return round(1.0 - confidence(evidence, match_type), 6)


def of_distance(distance: float) -> float:
    """The confidence that a distance of copy or auto stands for."""
    return max(0.0, 1.0 - distance)


def features(evidence: Evidence, match_type: str) -> NDArray[np.float64]:
    """The numbers that the model of a match type reads, float64[len(FEATURES[match_type])]."""
    values = {
        **_of_geometry(evidence.match),
        **_of_distances(evidence),
        **_of_likeness(evidence.likeness),
    }
    # What two independent methods agree on says more than both alone.
    values["proven"] = values["inliers"] * values["exact"]
    return np.array([values[name] for name in FEATURES[match_type]])


def _of_geometry(match: Match | None) -> dict[str, float]:
    if match is None:
        return dict.fromkeys(("inliers", "many_inliers", "support"), 0.0)
    return {
        # Unlike pictures reach 4; each doubling counts the same.
        "inliers": min(6.0, math.log2(match.inliers / 4)),
        # Pictures of one template reach 20.
        "many_inliers": min(3.0, max(0.0, math.log2(match.inliers / 20))),
        "support": match.support,
    }


def _of_distances(evidence: Evidence) -> dict[str, float]:
    likeness = 0.0 if evidence.cnn is None else 1.0 - evidence.cnn
    return {
        "cnn": max(0.0, likeness),
        "cnn_closest": max(0.0, likeness - 0.8),
        "part": 0.0 if evidence.part is None else max(0.0, 1.0 - evidence.part),
        "pdq": 0.0 if evidence.pdq is None else max(0.0, 1.0 - evidence.pdq / 128),
        "pdq_close": 0.0 if evidence.pdq is None else max(0.0, 1.0 - evidence.pdq / 52),
        "imgsmlr": 0.0 if evidence.imgsmlr is None else max(0.0, 1.0 - evidence.imgsmlr / 2),
    }


def _of_likeness(likeness: Likeness | None) -> dict[str, float]:
    if likeness is None:
        return dict.fromkeys(("exact", "clean", "colour"), 0.0)
    # Everywhere the same, and with enough in it for that to mean something.
    exact = (
        _from_to(likeness.correlation, 0.97, 1.0)
        * _from_to(likeness.worst, 0.8, 1.0)
        * _from_to(likeness.texture, 0.0, 0.3)
    )
    alike = _from_to(likeness.correlation, 0.8, 1.0) * _from_to(likeness.local, 0.7, 1.0)
    return {
        "exact": exact,
        "clean": exact * _from_to(likeness.difference, 15.0, 0.0),
        "colour": alike * _from_to(likeness.colour, 6.0, 0.0),
    }


def _from_to(value: float, nothing: float, full: float) -> float:
    """0 at ``nothing`` and beyond, 1 at ``full`` and beyond, in proportion between."""
    return min(1.0, max(0.0, (value - nothing) / (full - nothing)))


@cache
def calibrations() -> Mapping[str, Calibration]:
    """The fitted parameters, by match type."""
    data: dict[str, Any] = json.loads(PARAMETERS.read_text())
    return {
        name: Calibration(
            bias=data[name]["bias"],
            weights=np.array([data[name]["weights"][feature] for feature in FEATURES[name]]),
            precise=data[name]["precise"],
            recall=data[name]["recall"],
        )
        for name in MATCH_TYPES
    }
