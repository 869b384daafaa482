"""The results of reading a hash list: one ``HashRow`` per hash, and rows that are unusable.

The rows of one entry (its md5, its sha1, its pdq) are consecutive and share ``source`` and
``source_id``. An entry that was withdrawn is a row with the state ``tombstone``. If the list names
only the entry and not its hashes, that row has no kind and no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HashKind(StrEnum):
    """The kinds of hashes that this service can match."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    PDQ = "pdq"


class Media(StrEnum):
    """The kind of media that was hashed, if the list says so."""

    UNKNOWN = ""
    IMAGE = "image"
    VIDEO = "video"


class State(StrEnum):
    """``tombstone``: withdrawn, deleted, expired, or marked as harmless by the list itself."""

    ACTIVE = "active"
    TOMBSTONE = "tombstone"


class Opinion(StrEnum):
    """The opinion of somebody who has seen the content."""

    NONE = ""
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    FALSE_POSITIVE = "false_positive"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One party's opinion. ``by``: its name or id in the list, or ""."""

    by: str
    opinion: Opinion
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRow:
    """One hash of one entry.

    ``value``: lower-case hex. ``quality``: of a PDQ, 0 to 100. ``owner``: the member who entered
    it. ``category`` and ``severity``: the list's own terms, not ours. Times have a time zone. Text
    is one line without NUL. ``note`` has at most 2,000 characters, all other text 255.
    """

    place: str
    kind: HashKind | None = None
    value: str = ""
    state: State = State.ACTIVE
    media: Media = Media.UNKNOWN
    quality: int | None = None
    source: str = ""
    source_id: str = ""
    owner: str = ""
    category: str = ""
    severity: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    feedback: tuple[Feedback, ...] = ()
    updated_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def opinion(self) -> Opinion:
        """The combined opinion of all feedback. Different opinions make it disputed."""
        said = {one.opinion for one in self.feedback} - {Opinion.NONE}
        if len(said) > 1:
            return Opinion.DISPUTED
        return said.pop() if said else Opinion.NONE


@dataclass(frozen=True, slots=True)
class SkippedHash:
    """A valid hash of a kind that this service cannot match, such as PhotoDNA."""

    place: str
    kind: str


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that cannot be used: its place, the reason, and its first characters.

    ``ends_file``: nothing after this row could be read, so entries after it must not count as
    missing.
    """

    place: str
    reason: str
    excerpt: str
    ends_file: bool = False


Row = HashRow | SkippedHash | InvalidRow
