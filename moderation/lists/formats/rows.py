"""What reading a hash list yields: one ``HashRow`` per hash, and what could not become one.

The rows of one entry (its md5, its sha1, its pdq) follow each other and share ``source`` and
``source_id``. An entry that a list takes back is a row whose state is ``tombstone``; when the list
names only the entry and not its hashes, that row has no kind and no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
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
    """What somebody who looked at the content says about the entry."""

    NONE = ""
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    FALSE_POSITIVE = "false_positive"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One party's opinion; ``by`` is the party's name or id in the list, "" if it gives none."""

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
    kind: Kind | None = None
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
        """What all feedback together says; voices for and against make it disputed."""
        said = {one.opinion for one in self.feedback} - {Opinion.NONE}
        if len(said) > 1:
            return Opinion.DISPUTED
        return said.pop() if said else Opinion.NONE


@dataclass(frozen=True, slots=True)
class SkippedHash:
    """A sound hash of a kind that cannot be matched here, such as PhotoDNA; ``kind`` names it."""

    place: str
    kind: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """Quarantined: where it stands, why, and the first characters of it.

    ``ends_file``: the file is broken here and nothing after this place could be read, so an
    entry that did not appear must not be taken for one that was removed.
    """

    place: str
    reason: str
    excerpt: str
    ends_file: bool = False


Row = HashRow | SkippedHash | BadRow
