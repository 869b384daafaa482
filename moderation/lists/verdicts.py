"""The terms that all of moderation shares: verdicts, actions, severities and match types."""

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
    """Return the strictest verdict; ``allow`` if there are none."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.ALLOW)


class Action(StrEnum):
    """What a match with a list leads to. With ``shadow`` the match is only recorded."""

    BLOCK = "block"
    REVIEW = "review"
    SHADOW = "shadow"


_ACTIONS: Final = (Action.SHADOW, Action.REVIEW, Action.BLOCK)


def is_stricter(action: str, other: str) -> bool:
    return _ACTIONS.index(Action(action)) > _ACTIONS.index(Action(other))


class Severity(IntEnum):
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


HASH_TYPES: Final = ("md5", "sha1", "sha256")
"""Match types that compare for equality. Their distance is always 0."""

PICTURE_TYPES: Final = ("pdq", "copy", "imgsmlr", "clip")
"""Match types for which each list has its own threshold."""

VECTOR_TYPES: Final = ("copy", "imgsmlr", "clip")
"""The picture types that compare vectors. Both sides need a picture, or vectors made from it."""

MATCH_TYPES: Final = (*HASH_TYPES, *PICTURE_TYPES)

PROVING: Final = frozenset({*HASH_TYPES, "pdq", "copy"})
"""Match types that may block by themselves. The others may do so only on lists that allow it."""


ALLOWING: Final = "sha256"
"""The only kind of hash by which an allow list lets a file through."""
