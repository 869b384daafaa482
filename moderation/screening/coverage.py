"""Records what content was compared by which match types, and what could not be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from moderation.lists.policies import Policies
from moderation.lists.verdicts import HASH_TYPES, VECTOR_TYPES
from moderation.screening import vectors
from moderation.screening.types import COLOURS, FRAMES, ContentFrame, Place


class Coverage:
    """``usable``: vector match types that have items to compare and have not failed.

    ``missing``: as in ``Screening``. ``first``: the first frame.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self.usable, self.missing = vectors.usable(policies)
        self.first: ContentFrame | None = None
        self._hashed = self._seen = False
        self._places: set[Place] = set()
        self._described: defaultdict[str, set[Place]] = defaultdict(set)
        self._unanswered: dict[str, bool] = {}
        self._asked: dict[str, str] = {}

    @property
    def frames_matter(self) -> bool:
        """Whether any list compares more than the hashes of files."""
        return any(policy.thresholds for policy in self._policies.values())

    def add(self, frames: Sequence[ContentFrame]) -> None:
        self.first = self.first or frames[0]
        self._hashed = self._hashed or any(frame.hashes for frame in frames)
        self._seen = self._seen or any(frame.has_pixels for frame in frames)
        self._places.update(frame.place for frame in frames)

    def described(self, match_type: str, frames: Iterable[ContentFrame]) -> None:
        for frame in frames:
            self._described[match_type].update((frame.place, *frame.near))

    def unavailable(self, match_type: str, why: str) -> None:
        self.missing[match_type] = why
        self.usable.discard(match_type)

    def frames_missing(self, error: Exception) -> None:
        self.missing[FRAMES] = getattr(error, "message", "Its pictures cannot be read.")

    def doubt_colours(self, doubts: Sequence[str]) -> None:
        if doubts:
            self.missing[COLOURS] = " ".join(doubts)

    def unanswered(self, service: str, why: str, *, hold: bool) -> None:
        """Note a remote service that did not answer. ``hold``: what it was asked about waits."""
        self.missing[service] = why
        self._unanswered[service] = hold

    def asked_partly(self, service: str, asked: int, left_out: int) -> None:
        self._asked[service] = f"{asked} of {asked + left_out} pictures"

    def is_doubtful(self) -> bool:
        """Return whether something could not be compared with a list that is enforced."""
        if any(self._unanswered.values()):
            return True
        enforced = [policy for policy in self._policies.values() if policy.is_enforced]
        return any(
            policy.thresholds if name in (FRAMES, COLOURS) else name in policy.thresholds
            for name in self.missing.keys() - self._unanswered
            for policy in enforced
        )

    def methods_run(self, hashes: Iterable[str]) -> list[str]:
        """Return the match types that compared all content with everything on the lists."""
        run = [kind for kind in HASH_TYPES if kind in hashes]
        if FRAMES in self.missing:
            return run
        in_use = {name for policy in self._policies.values() for name in policy.thresholds}
        if "pdq" in in_use and self._hashed and not self._unanswered:
            run.append("pdq")
        # These count even if the lists have nothing to compare.
        return run + [
            name
            for name in VECTOR_TYPES
            if name in in_use and name not in self.missing and self._seen
        ]

    def partly(self) -> dict[str, str]:
        """Return match type → how many frames it compared, for those that did not compare all."""
        every = len(self._places)
        described = {
            name: f"{len(places)} of {every} pictures"
            for name, places in sorted(self._described.items())
            if name in self.usable and len(places) < every
        }
        return described | self._asked

    def unhashable(self) -> list[str]:
        return ["pdq"] if self.first is not None and not self._hashed else []
