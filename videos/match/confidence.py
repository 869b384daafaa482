"""The calibrated confidence that a video shows a query at a given place.

Each kind of query has a logistic model. All features support a match and no weight is negative, so
missing evidence lowers nothing. ``confidence.json`` holds the parameters and says from which data
they were fitted (``benchmarks/fit_video_confidence.py``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gallery.search.confidence import probability

QueryKind = Literal["still", "clip", "stored"]
"""A picture; a clip; stored frames of a video, whose pictures were not compared."""

KINDS: Final[tuple[QueryKind, ...]] = ("still", "clip", "stored")
PARAMETERS: Final = Path(__file__).with_name("confidence.json")
FEATURES: Final = (
    *("similarity", "score", "distinct", "likeness", "inliers", "proven", "whole", "copy"),
)
"""Features of the models, in the order of their weights; each ≥ 0, more is stronger."""


@dataclass(frozen=True, slots=True)
class VideoEvidence:
    """Evidence about a query and one segment of a video.

    From stored frames: ``similarity``, the mean cosine of the matched frames; ``score``, 0..1, how
    far above the threshold they are; ``coverage``, 0..1, the segment's share of the query;
    ``distinct``, the number of stored spans matched.

    From pictures: ``correlation``, −1..1, the mean of the aligned frames; ``inliers`` of the best
    pair of frames; ``proven``, 0..1, the share of compared pairs with inliers; ``shown``, 0..1, the
    share of the video's picture that the query shows; ``copy``, of a still, the log-odds by the
    model of images that it is a copy of the picture there.
    """

    similarity: float
    score: float
    coverage: float
    distinct: int
    correlation: float = 0.0
    inliers: int = 0
    proven: float = 0.0
    shown: float = 0.0
    copy: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """The parameters of one kind of query. ``precise``: the confidence at which none of the
    unrelated videos of the calibration was found."""

    bias: float
    weights: NDArray[np.float64]
    precise: float


def logit(evidence: VideoEvidence, kind: QueryKind) -> float:
    """Return log-odds; they also order results whose confidence rounds to 1."""
    calibration = calibrations()[kind]
    return calibration.bias + float(features(evidence) @ calibration.weights)


def confidence(evidence: VideoEvidence, kind: QueryKind) -> float:
    """Return the probability, 0 to 1, that the video shows the query there."""
    return probability(logit(evidence, kind))


def features(evidence: VideoEvidence) -> NDArray[np.float64]:
    values = {
        "similarity": max(0.0, evidence.similarity - 0.3),
        "score": evidence.score * math.sqrt(evidence.coverage),
        "distinct": min(4.0, math.log2(1 + evidence.distinct)),
        "likeness": max(0.0, evidence.correlation - 0.5),
        # Unrelated pictures reach 4 inliers; each doubling counts the same.
        "inliers": min(5.0, max(0.0, math.log2(max(1, evidence.inliers) / 4))),
        "proven": evidence.proven,
        # Films of one series show the same photograph at several sizes. All of them contain the
        # query; the best match is the one whose picture it fills.
        "whole": evidence.shown * max(0.0, evidence.correlation),
        "copy": min(8.0, max(0.0, evidence.copy)),
    }
    return np.array([values[name] for name in FEATURES])


@cache
def calibrations() -> Mapping[str, Calibration]:
    data = json.loads(PARAMETERS.read_text())
    return {
        kind: Calibration(
            bias=data[kind]["bias"],
            weights=np.array([data[kind]["weights"][name] for name in FEATURES]),
            precise=data[kind]["precise"],
        )
        for kind in KINDS
    }
