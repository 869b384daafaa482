"""The match types of searches, and the useful range of their thresholds.

Sources for imgsmlr and clip: the original's README. pdq: 31 is the matching distance its authors
recommend, 52 that of their high-recall index. auto and copy: 1 − confidence, from the calibration;
they show what is more likely a copy than not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gallery.search.confidence import calibrations


@dataclass(frozen=True)
class MatchType:
    """Useful thresholds are from ``precise`` to ``recall``; ``maximum`` is the end of a slider.

    ``default``: the threshold of a search that names none.
    """

    label: str
    precise: float
    recall: float
    maximum: float
    default: float


def _range_of(name: str) -> tuple[float, float, float, float]:
    calibration = calibrations()[name]
    return calibration.precise, calibration.recall, 1.0, 0.5


MATCH_TYPES: Mapping[str, MatchType] = {
    "auto": MatchType("Copies, by every method", *_range_of("auto")),
    "imgsmlr": MatchType("Haar wavelet (imgsmlr)", 1.0, 2.0, 4.0, 1.0),
    "pdq": MatchType("Perceptual hash (PDQ)", 31, 52, 104, 31),
    "copy": MatchType("Copies, verified", *_range_of("copy")),
    "clip": MatchType("Meaning (CLIP)", 0.1, 0.2, 0.5, 0.1),
}
