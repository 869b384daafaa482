"""The thresholds of match types: their defaults, their limits, and when a distance meets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gallery.search.match_types import MATCH_TYPES
from moderation.lists.verdicts import PICTURE_TYPES


@dataclass(frozen=True)
class Thresholds:
    """Inclusive distances: up to ``threshold`` is a match, up to ``near_miss`` is recorded."""

    threshold: float
    near_miss: float

    def met_by(self, distance: float) -> bool:
        return distance <= self.threshold

    def recorded_at(self, distance: float) -> bool:
        return distance <= self.near_miss


DEFAULTS: Final[Mapping[str, Thresholds]] = {
    name: Thresholds(MATCH_TYPES[name].precise, MATCH_TYPES[name].recall) for name in PICTURE_TYPES
}
"""Match type → the precise end and the recall end of its useful range."""

LARGEST: Final[Mapping[str, float]] = {"pdq": 256, "copy": 1.0, "imgsmlr": 1000.0, "clip": 2.0}
"""Match type → the greatest distance that can be set."""

ON_AT_FIRST: Final = frozenset({"pdq", "copy"})


def effective(
    match_type: str, threshold: float | None, near_miss: float | None = None
) -> Thresholds:
    """Return the thresholds in force. ``None`` means the default.

    The near-miss threshold is never below the threshold.
    """
    default = DEFAULTS[match_type]
    near = default.threshold if threshold is None else threshold
    far = default.near_miss if near_miss is None else near_miss
    return Thresholds(near, max(near, far))
