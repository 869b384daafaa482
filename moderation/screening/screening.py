"""Is a subject on a list? Every picture of it against every enabled list, and what that comes to.

Whatever cannot be compared is said so (``missing``) and makes the verdict ``review`` at least,
where it could have held anything back: nothing passes because a method failed.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import av

from gallery.shared.errors import Unavailable, UserError
from moderation.lists.list_policies import Policies, using
from moderation.lists.verdicts import (
    HASH_TYPES,
    VECTOR_TYPES,
    Verdict,
    strictest,
)
from moderation.screening import edited_copies, matching, picture_matching, verdict_rules
from moderation.screening.content import Content
from moderation.screening.matching import (
    Match,
    Pixels,
    Place,
    View,
)

TOGETHER: Final = 16
"""Pictures that are compared at a time."""

PIXELS_TOGETHER: Final = 64_000_000
"""Pixels of them beyond which they are fewer."""

COLOURS: Final = "colours"
"""What ``missing`` calls colours that a viewer may show otherwise."""

FRAMES: Final = "frames"
"""What ``missing`` calls the pictures of a subject that could not be read."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """What was found. ``matches``: up to what the lists record, judged, the weightiest first.

    ``methods_run``: match types by which it was compared with all that is on the lists.
    ``partly``: match types by which only some of its pictures were compared → how many, in words.
    ``list_versions``: of the enabled lists, by name. ``unhashable``: match types that had nothing
    to compare in the subject. ``missing``: match types, ``frames`` or ``colours`` → why they could
    not be compared. ``held``: to be kept back until somebody has decided. ``pdq``: of the first
    picture. ``shown``: the picture of the weightiest match, or the first one.
    """

    verdict: Verdict
    matches: Sequence[Match] = ()
    methods_run: Sequence[str] = ()
    partly: Mapping[str, str] = field(default_factory=dict)
    list_versions: Mapping[str, int] = field(default_factory=dict)
    unhashable: Sequence[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    held: bool = False
    pdq: bytes | None = None
    shown: Pixels | None = None

    @property
    def within(self) -> list[Match]:
        """Those that ask for something."""
        return [match for match in self.matches if match.verdict != Verdict.ALLOW]


def screen(subject: Content, policies: Policies) -> Screening:
    """Compare a subject with the enabled lists as they are now; see ``list_policies.current``.

    Raises only what the database does: what is wrong with the subject is in the answer.
    """
    looked = _Looked(policies)
    looked.matches += matching.by_file(subject.hashes, policies)
    if any(policy.reach for policy in policies.values()):
        looked.look(subject)
    return looked.screening(subject)


def failed(why: str, policies: Policies) -> Screening:
    """What is known when screening itself broke: nothing, which holds it back."""
    return Screening(
        Verdict.REVIEW,
        list_versions=_versions(policies),
        missing={FRAMES: why},
        held=True,
    )


class _Looked:
    """What is found on the way through the pictures of one subject."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies
        self.matches: list[Match] = []
        needs = picture_matching.needs(policies)
        self._used, self._missing = set(needs.used), dict(needs.missing)
        self._first: View | None = None
        self._shown: Pixels | None = None
        self._best: Match | None = None
        self._hashed = self._seen = False
        self._places: set[Place] = set()
        self._described: defaultdict[str, set[Place]] = defaultdict(set)

    def look(self, subject: Content) -> None:
        """Compare all pictures; what cannot be read or compared is noted."""
        self._read(subject.views)
        if self._used or using(self.policies, "pdq"):
            self._read(subject.chosen)
        if subject.doubts:
            self._missing[COLOURS] = " ".join(subject.doubts)

    def _read(self, views: Iterable[View]) -> None:
        try:
            for some in _together(views):
                self._compare(some)
        except (UserError, OSError, av.error.FFmpegError) as error:
            self._missing[FRAMES] = getattr(error, "message", "Its pictures cannot be read.")
            logger.info("the pictures of a subject could not be screened", exc_info=True)

    def _compare(self, views: Sequence[View]) -> None:
        self._first = self._first or views[0]
        self._hashed = self._hashed or any(view.hashes for view in views)
        self._places.update(view.place for view in views)
        found = matching.by_pdq(views, self.policies)
        found += edited_copies.by_edits(views, [*self.matches, *found], self.policies)
        self._seen = self._seen or any(view.rgb.size for view in views)
        pictures = [view for view in views if view.rgb.size and not view.hashes_only]
        for match_type in sorted(self._used) if pictures else ():
            try:
                found += picture_matching.by_pictures(pictures, self.policies, [match_type])
                self._described[match_type].update(view.place for view in pictures)
            except Unavailable as error:
                self._missing[match_type] = error.message
                self._used.discard(match_type)
        self._note(found, views)
        self.matches += found

    def _note(self, found: Sequence[Match], views: Sequence[View]) -> None:
        """Keep the picture that shows the surest match so far."""
        within = [match for match in found if match.within]
        best = max(within, key=verdict_rules.confidence, default=None)
        if best is None:
            return
        confidence = verdict_rules.confidence
        if self._best is None or confidence(best) > confidence(self._best):
            rgb = next(view.rgb for view in views if view.place == best.place)
            self._best, self._shown = best, rgb if rgb.size else None

    def screening(self, subject: Content) -> Screening:
        judged = verdict_rules.judged(self.matches, self.policies)
        verdict, held = verdict_rules.verdict_of(judged), verdict_rules.holds(judged)
        missing = self._missing
        if self._doubtful():
            verdict, held = strictest([verdict, Verdict.REVIEW]), True
        first = self._first
        shown = self._shown
        if shown is None and first is not None and first.rgb.size:
            shown = first.rgb
        return Screening(
            verdict=verdict,
            matches=verdict_rules.kept(judged),
            methods_run=[*(k for k in HASH_TYPES if k in subject.hashes), *self._run()],
            partly=self._partly(),
            list_versions=_versions(self.policies),
            unhashable=["pdq"] if first is not None and not self._hashed else [],
            missing=missing,
            held=held,
            pdq=first.hashes[0] if first is not None and first.hashes else None,
            shown=shown,
        )

    def _doubtful(self) -> bool:
        """Whether something could not be compared with a list that acts."""
        acting = [policy for policy in self.policies.values() if policy.acts]
        return any(
            policy.reach if name in (FRAMES, COLOURS) else name in policy.reach
            for name in self._missing
            for policy in acting
        )

    def _partly(self) -> dict[str, str]:
        every = len(self._places)
        return {
            name: f"{len(places)} of {every} pictures"
            for name, places in sorted(self._described.items())
            if name in self._used and len(places) < every
        }

    def _run(self) -> list[str]:
        """Match types by pictures that were compared with everything on the lists."""
        in_use = {name for policy in self.policies.values() for name in policy.reach}
        run = ["pdq"] if "pdq" in in_use and self._hashed else []
        # With nothing on the lists to compare, all of it was compared.
        run += [
            name
            for name in VECTOR_TYPES
            if name in in_use and name not in self._missing and self._seen
        ]
        return [] if FRAMES in self._missing else run


def _together(views: Iterable[View]) -> Iterator[list[View]]:
    """A few at a time, fewer of large ones."""
    some: list[View] = []
    for view in views:
        some.append(view)
        if len(some) == TOGETHER or sum(v.rgb.size for v in some) > 3 * PIXELS_TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _versions(policies: Policies) -> dict[str, int]:
    return {policy.list.name: policy.list.version for policy in policies.values()}
