"""What each match type's distances mean: where they are precise and where they stop helping.

imgsmlr and clip: the original's README. pdq: 31 is the matching distance its authors recommend,
52 the one of their high-recall index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MatchType:
    """``precise`` … ``recall`` is the useful range of thresholds; ``maximum`` ends a slider."""

    label: str
    precise: float
    recall: float
    maximum: float


MATCH_TYPES: Mapping[str, MatchType] = {
    "imgsmlr": MatchType("Haar wavelet (imgsmlr)", 1.0, 2.0, 4.0),
    "pdq": MatchType("Perceptual hash (PDQ)", 31, 52, 104),
    "clip": MatchType("Meaning (CLIP)", 0.1, 0.2, 0.5),
}
