"""The words of moderation that several modules share: verdicts, actions, match types. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import Final


class Verdict(StrEnum):
    """What is to become of an upload."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


_RANK: Final[Mapping[Verdict, int]] = {Verdict.ALLOW: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that lets through least; ``allow`` of none."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.ALLOW)


class Action(StrEnum):
    """What a list asks for when it is matched. ``shadow``: only note that it was."""

    BLOCK = "block"
    REVIEW = "review"
    SHADOW = "shadow"


class Severity(IntEnum):
    """How bad it is to miss, or to keep waiting, what a list holds."""

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
"""The only hash by which an entry of an allow list frees a file."""
