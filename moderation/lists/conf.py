"""What lists go by where they say nothing of their own: thresholds, observe distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from gallery.search.match_types import MATCH_TYPES
from moderation.lists.verdicts import PICTURE_TYPES, Severity


@dataclass(frozen=True)
class Bounds:
    """Distances, inclusive: up to ``threshold`` is a match, up to ``observe`` it is recorded."""

    threshold: float
    observe: float


DEFAULTS: Final[Mapping[str, Bounds]] = {
    name: Bounds(MATCH_TYPES[name].precise, MATCH_TYPES[name].recall) for name in PICTURE_TYPES
}
"""Match type → the precise and the recall end of its useful range."""

LARGEST: Final[Mapping[str, float]] = {"pdq": 256, "copy": 1.0, "imgsmlr": 1000.0, "clip": 2.0}
"""Match type → a distance that no two pictures exceed, or that no list can mean."""

ON_AT_FIRST: Final = frozenset({"pdq", "copy"})
"""The match types that a new list uses."""


def bounds(match_type: str, threshold: float | None, observe: float | None) -> Bounds:
    """What a list's method comes to, ``None`` being the default.

    Nothing is observed nearer than it matches, so a threshold beyond the default observe
    distance takes that with it.
    """
    default = DEFAULTS[match_type]
    near = default.threshold if threshold is None else threshold
    far = default.observe if observe is None else observe
    return Bounds(near, max(near, far))


def two_person_severity() -> int:
    """The least severity whose cases need two people; more than any if none does."""
    name = settings.TWO_PERSON_SEVERITY.lower()
    if name == "none":
        return max(Severity) + 1
    try:
        return Severity[name.upper()]
    except KeyError:
        known = ", ".join(severity.name.lower() for severity in Severity)
        problem = f"TWO_PERSON_SEVERITY={name!r} is none of {known}, none."
        raise ImproperlyConfigured(problem) from None
