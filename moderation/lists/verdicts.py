"""The terms that all of moderation shares: verdicts, actions, severities, match types. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import Final


class Verdict(StrEnum):
    """What happens to an upload."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


_RANK: Final[Mapping[Verdict, int]] = {Verdict.ALLOW: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that lets least through; ``allow`` of none."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.ALLOW)


class Action(StrEnum):
    """The verdict that a match of a list leads to. ``shadow``: it is only recorded."""

    BLOCK = "block"
    REVIEW = "review"
    SHADOW = "shadow"


_ACTIONS: Final = (Action.SHADOW, Action.REVIEW, Action.BLOCK)


def is_stricter(action: str, other: str) -> bool:
    """Whether one action of a list lets less through than another."""
    return _ACTIONS.index(Action(action)) > _ACTIONS.index(Action(other))


class Severity(IntEnum):
    """How bad the content of a list is."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


HASH_TYPES: Final = ("md5", "sha1", "sha256")
"""Match types that compare for equality; their distance is 0."""

PICTURE_TYPES: Final = ("pdq", "copy", "imgsmlr", "clip")
"""Match types with a threshold of their own on each list."""

VECTOR_TYPES: Final = ("copy", "imgsmlr", "clip")
"""Those of them that need a picture, or what was made of it, on both sides."""

MATCH_TYPES: Final = (*HASH_TYPES, *PICTURE_TYPES)

PROVING: Final = frozenset({*HASH_TYPES, "pdq", "copy"})
"""Match types that may block by themselves; the others only where a list says so."""


ALLOWING: Final = "sha256"
"""The only hash by which an entry of an allow list lets a file through."""
