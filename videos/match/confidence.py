"""How sure is it that a video shows the query there? Evidence in, a calibrated number out.

A logistic model per kind of query over a few numbers that can only speak for a match: no weight
is negative, and nothing that is missing counts against. ``confidence.json`` holds the parameters
and says from what they were fitted.
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

Kind = Literal["still", "clip", "stored"]
"""A picture; footage; the stored frames of a video, of which no pictures are compared."""

KINDS: Final[tuple[Kind, ...]] = ("still", "clip", "stored")
PARAMETERS: Final = Path(__file__).with_name("confidence.json")
FEATURES: Final = ("similarity", "score", "distinct", "likeness", "inliers", "proven", "whole")
"""What the models read, in the order of their weights; each ≥ 0, and more is stronger."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found about a query and one segment of a video.

    ``similarity``: mean cosine of the matched frames; ``score``, 0..1: how far above the
    threshold the segment's frames are; ``coverage``, 0..1: its share of the query; ``distinct``:
    how many stored pictures are matched. Of the pictures themselves: ``likeness``, −1..1, the mean
    correlation of what is laid upon one another; ``inliers``, places that agree in the best pair
    of frames, ``proven``, 0..1, the share of the compared pairs that agree, and ``shown``, 0..1,
    the share of the video's picture that the query shows.
    """

    similarity: float
    score: float
    coverage: float
    distinct: int
    likeness: float = 0.0
    inliers: int = 0
    proven: float = 0.0
    shown: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """The parameters of one kind of query. ``precise``: the confidence from which on none of the
    strangers that it was fitted on was found."""

    bias: float
    weights: NDArray[np.float64]
    precise: float


def logit(evidence: Evidence, kind: Kind) -> float:
    """Log-odds: orders results also where confidence is 1 to six places."""
    calibration = calibrations()[kind]
    return calibration.bias + float(features(evidence) @ calibration.weights)


def confidence(evidence: Evidence, kind: Kind) -> float:
    """Probability, 0 to 1, that the video shows the query there."""
    return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, logit(evidence, kind)))))


def features(evidence: Evidence) -> NDArray[np.float64]:
    """The numbers that the models read, float64[len(FEATURES)]."""
    values = {
        "similarity": max(0.0, evidence.similarity - 0.3),
        "score": evidence.score * math.sqrt(evidence.coverage),
        "distinct": min(4.0, math.log2(1 + evidence.distinct)),
        "likeness": max(0.0, evidence.likeness - 0.5),
        # Unlike pictures reach 4; each doubling counts the same.
        "inliers": min(5.0, max(0.0, math.log2(max(1, evidence.inliers) / 4))),
        "proven": evidence.proven,
        # Films of one series show the same photograph from nearer and from further away. All hold
        # the query; rather meant is the one whose picture it fills.
        "whole": evidence.shown * max(0.0, evidence.likeness),
    }
    return np.array([values[name] for name in FEATURES])


@cache
def calibrations() -> Mapping[str, Calibration]:
    """The fitted parameters, by kind of query."""
    data = json.loads(PARAMETERS.read_text())
    return {
        kind: Calibration(
            bias=data[kind]["bias"],
            weights=np.array([data[kind]["weights"][name] for name in FEATURES]),
            precise=data[kind]["precise"],
        )
        for kind in KINDS
    }
