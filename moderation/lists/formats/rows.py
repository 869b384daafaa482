"""What reading a hash list yields: one ``HashRow`` per hash, and what could not become one.

The rows of one entry (its md5, its sha1, its pdq) follow each other and share ``source`` and
``source_id``. An entry that a list takes back is a row whose state is ``tombstone``; when the list
names only the entry and not its hashes, that row has no kind and no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HashKind(StrEnum):
    """The hashes that can be matched here."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    PDQ = "pdq"


class Media(StrEnum):
    """What was hashed, where the list says so."""

    UNKNOWN = ""
    IMAGE = "image"
    VIDEO = "video"


class State(StrEnum):
    """``tombstone``: withdrawn, deleted, expired or declared harmless by the list itself."""

    ACTIVE = "active"
    TOMBSTONE = "tombstone"


class Opinion(StrEnum):
    """Of somebody who has seen the content."""

    NONE = ""
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    FALSE_POSITIVE = "false_positive"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One party's opinion; ``by``: its name or id in the list, "" if there is none."""

    by: str
    opinion: Opinion
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRow:
    """One hash of one entry.

    ``value`` is lower-case hex. ``quality`` is PDQ's, 0-100. ``owner`` is the member who entered
    it. ``category`` and ``severity`` are the list's own words, not ours. Times carry a time zone.
    Text is one line without NUL; ``note`` has at most 2,000 characters, every other one 255.
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
        """Of all feedback together; opinions for and against make it disputed."""
        said = {one.opinion for one in self.feedback} - {Opinion.NONE}
        if len(said) > 1:
            return Opinion.DISPUTED
        return said.pop() if said else Opinion.NONE


@dataclass(frozen=True, slots=True)
class SkippedHash:
    """A valid hash of a kind that cannot be matched here, such as PhotoDNA."""

    place: str
    kind: str


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that cannot be used: its place, why, and its first characters.

    ``ends_file``: nothing after it could be read, so entries that did not appear are not missing.
    """

    place: str
    reason: str
    excerpt: str
    ends_file: bool = False


Row = HashRow | SkippedHash | InvalidRow
