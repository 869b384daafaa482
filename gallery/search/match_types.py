"""What each match type's distances mean: where they are precise and where they stop helping.

imgsmlr and clip: the original's README. pdq: 31 is the matching distance its authors recommend,
52 the one of their high-recall index. auto and copy: 1 − confidence, from the calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gallery.search.confidence import calibrations


@dataclass(frozen=True)
class MatchType:
    """``precise`` … ``recall`` is the useful range of thresholds; ``maximum`` ends a slider."""

    label: str
    precise: float
    recall: float
    maximum: float


def _ends(name: str) -> tuple[float, float, float]:
    calibration = calibrations()[name]
    return calibration.precise, calibration.recall, 1.0


MATCH_TYPES: Mapping[str, MatchType] = {
    "auto": MatchType("Copies, by every method", *_ends("auto")),
    "imgsmlr": MatchType("Haar wavelet (imgsmlr)", 1.0, 2.0, 4.0),
    "pdq": MatchType("Perceptual hash (PDQ)", 31, 52, 104),
    "copy": MatchType("Copies, verified", *_ends("copy")),
    "clip": MatchType("Meaning (CLIP)", 0.1, 0.2, 0.5),
}
