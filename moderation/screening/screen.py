"""Screening: from content to a verdict, step by step.

``screen`` is the only entry point; ``_screen`` has the steps in order. Content never passes because
a step failed: anything that could not be compared is in ``Screening.missing``. The content is then
withheld if an enforced list would have compared it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import av
from django.db import transaction

from gallery.items.item import Item
from gallery.shared.errors import Busy, StorageAway, Unavailable, UserError
from gallery.shared.fork_server import CannotStart
from moderation.lists.policies import Policies, using
from moderation.lists.verdicts import Verdict, strictest
from moderation.screening import (
    copies,
    edited_copies,
    exact,
    pdq,
    remote_matches,
    vectors,
    verdict_rules,
)
from moderation.screening.content import Content, of_item
from moderation.screening.coverage import Coverage
from moderation.screening.types import FRAMES, ContentFrame, ItemMatch, Pixels, Screening

BATCH_FRAMES: Final = 16

BATCH_PIXELS: Final = 64_000_000
"""A batch with more pixels than this has fewer frames."""

FAILED: Final = "Screening failed; the service's log says why."
"""``missing["frames"]`` if screening itself failed."""

NOT_ITS_FAULT: Final = (Busy, CannotStart, StorageAway)

UNREADABLE: Final = (UserError, OSError, av.error.FFmpegError)

logger = logging.getLogger(__name__)


def screen(source: Content | Item, policies: Policies) -> Screening:
    """Compare content, or a stored image or video, with the enabled lists.

    ``policies``: see ``policies.current``. If screening fails, the error is logged and the content
    is withheld for review. Raises only what says nothing about the content: ``Busy``, in a request,
    which is to be sent again, and ``CannotStart`` and ``StorageAway``.
    """
    try:
        # A savepoint, so that the caller can open a case even after an SQL error in here.
        with transaction.atomic():
            return _screen(source if isinstance(source, Content) else of_item(source), policies)
    except NOT_ITS_FAULT:
        raise
    except Exception:
        logger.exception("%s could not be screened; it is withheld", source)
        return unscreened(policies, FAILED)


def unscreened(policies: Policies, why: str) -> Screening:
    """Return what is known of content that could not be screened: it is withheld for review."""
    return Screening(
        Verdict.REVIEW,
        list_versions=_versions(policies),
        missing={FRAMES: why},
        withheld=True,
    )


def _screen(content: Content, policies: Policies) -> Screening:
    coverage = Coverage(policies)
    shown, remote = _Shown(), remote_matches.Hashes()
    matches = exact.matches(content.hashes, policies)
    if coverage.frames_matter:
        for frames in (content.frames, content.chosen):
            try:
                for batch in _batches(frames):
                    coverage.add(batch)
                    remote.add(batch)
                    found = _compare(batch, matches, coverage, policies)
                    shown.update(found, batch)
                    matches += found
            except (CannotStart, StorageAway) as error:
                # A banned file is known without reading it. Nothing else is decided without.
                known = verdict_rules.decide_verdicts(matches, policies)
                if verdict_rules.verdict_of(known) != Verdict.BLOCK:
                    raise
                coverage.frames_missing(error)
            except Busy:
                raise
            except UNREADABLE as error:
                logger.info("some frames could not be read or compared", exc_info=True)
                coverage.frames_missing(error)
            if not (coverage.usable or using(policies, "pdq")):
                break
        matches += remote.matches(policies, coverage)
        coverage.doubt_colours(content.doubts)
    decided = verdict_rules.decide_verdicts(matches, policies)
    verdict, withheld = verdict_rules.verdict_of(decided), verdict_rules.withholds(decided)
    if coverage.is_doubtful():
        verdict, withheld = strictest([verdict, Verdict.REVIEW]), True
    return Screening(
        verdict=verdict,
        matches=verdict_rules.recorded(decided),
        methods_run=coverage.methods_run(content.hashes),
        partly=coverage.partly(),
        list_versions=_versions(policies),
        unhashable=coverage.unhashable(),
        missing=coverage.missing,
        withheld=withheld,
        pdq=coverage.first.hashes[0] if coverage.first and coverage.first.hashes else None,
        shown=shown.picture(coverage.first),
    )


def _compare(
    frames: Sequence[ContentFrame],
    known: Sequence[ItemMatch],
    coverage: Coverage,
    policies: Policies,
) -> list[ItemMatch]:
    """Return all matches of some frames. ``known``: the matches found before."""
    found = pdq.matches(frames, policies, verdict_rules.RECORDED)
    found += edited_copies.matches(frames, [*known, *found], policies)
    pictures = [frame for frame in frames if frame.has_pixels and not frame.hashes_only]
    for match_type in sorted(coverage.usable) if pictures else ():
        try:
            if match_type == "copy":
                found += copies.matches(pictures, policies)
            else:
                found += vectors.matches(match_type, pictures, policies)
            coverage.described(match_type, pictures)
        except Unavailable as error:
            coverage.unavailable(match_type, error.message)
    return found


class _Shown:
    """The pixels of the frame with the most confident match so far."""

    def __init__(self) -> None:
        self._best: ItemMatch | None = None
        self._rgb: Pixels | None = None

    def update(self, found: Iterable[ItemMatch], frames: Iterable[ContentFrame]) -> None:
        confidence = verdict_rules.confidence
        best = max((match for match in found if match.within), key=confidence, default=None)
        if best and (self._best is None or confidence(best) > confidence(self._best)):
            frame = next(frame for frame in frames if frame.place == best.place)
            self._best, self._rgb = best, frame.rgb if frame.has_pixels else None

    def picture(self, first: ContentFrame | None) -> Pixels | None:
        if self._rgb is not None:
            return self._rgb
        return first.rgb if first is not None and first.has_pixels else None


def _batches(frames: Iterable[ContentFrame]) -> Iterator[list[ContentFrame]]:
    batch: list[ContentFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == BATCH_FRAMES or sum(one.rgb.size for one in batch) > 3 * BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _versions(policies: Policies) -> dict[str, int]:
    return {policy.list.name: policy.list.version for policy in policies.values()}
