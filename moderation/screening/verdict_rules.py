"""What matches come to: the rules of verdicts, in one place. No database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from moderation.lists.list_policies import Policies, Policy
from moderation.lists.verdicts import (
    ALLOWING,
    HASH_TYPES,
    PROVING,
    Action,
    Verdict,
    strictest,
)
from moderation.screening.matching import Match

FRAMES_OF_VIDEO: Final = 3
"""Different pictures of a banned video that must be seen before one match can block: a single
picture of it may well be harmless."""

RECORDED_EACH: Final = 3
"""Matches that are kept of an item and match type: in a video there may be one each second."""

RECORDED: Final = 100
"""Matches that are kept of a subject."""


def judged(matches: Sequence[Match], policies: Policies) -> list[Match]:
    """The matches with what each of them asks for, the weightiest first.

    What an allow list lets through asks for nothing, and neither does what is beyond the
    threshold or on a list in shadow.
    """
    seen = _pictures_seen(matches)
    freeing = [match for match in matches if _frees(match, policies)]
    found = [replace(match, verdict=_verdict(match, policies, freeing, seen)) for match in matches]
    return sorted(found, key=_weight)


def kept(matches: Sequence[Match]) -> list[Match]:
    """Those that are recorded, of matches in the order of ``judged``."""
    counts: dict[tuple[int, str], int] = {}
    found = []
    for match in matches:
        key = match.item_id, match.match_type
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= RECORDED_EACH:
            found.append(match)
    return found[:RECORDED]


def holds(matches: Sequence[Match]) -> bool:
    """Whether their subject is kept back until somebody has decided."""
    return any(
        match.verdict == Verdict.BLOCK
        # A suspended item would block by itself: it never publishes what it used to hold.
        or (match.verdict == Verdict.REVIEW and (match.list.hold_on_review or match.suspended))
        for match in matches
    )


def confidence(match: Match) -> float:
    """How sure a match is, 0 to 1: for the order in which people look at cases.

    1 for the same file; what was calibrated for copies; else 1 at distance 0 and 1/2 at the
    threshold, falling on beyond it.
    """
    if match.match_type in HASH_TYPES:
        return 1.0
    if match.match_type == "copy":
        return max(0.0, 1.0 - match.distance)
    # A list that wants distance 0 alone is as sure there as others are.
    far = max(match.threshold, 1e-9)
    return max(0.0, 1.0 - match.distance / far / 2)


def _weight(match: Match) -> tuple[bool, bool, bool, float]:
    return (
        match.verdict != Verdict.BLOCK,
        match.verdict != Verdict.REVIEW,
        not match.within,
        -confidence(match),
    )


def _frees(match: Match, policies: Policies) -> bool:
    """Whether it is an allow entry for this very file, which only a SHA-256 can say.

    Others with the same MD5 or SHA-1 can be made at will, and alike is not the same.
    """
    allows = policies[match.list.pk].allows
    return allows and match.match_type == ALLOWING and not match.doubted


def _verdict(
    match: Match,
    policies: Policies,
    freeing: Sequence[Match],
    seen: Mapping[int, int],
) -> Verdict:
    policy = policies[match.list.pk]
    if not policy.acts or not match.within:
        return Verdict.ALLOW
    if any(policies[allowed.list.pk].outranks(policy) for allowed in freeing):
        return Verdict.ALLOW
    if policy.list.action == Action.BLOCK and _may_block(match, policy, seen):
        return Verdict.BLOCK
    return Verdict.REVIEW


def _may_block(match: Match, policy: Policy, seen: Mapping[int, int]) -> bool:
    if match.doubted or match.match_type not in policy.may_block:
        return False
    if match.match_type in HASH_TYPES:
        return True
    if match.match_type in PROVING and not match.sure:
        return False
    return not match.from_video or seen.get(match.item_id, 0) >= FRAMES_OF_VIDEO


def _pictures_seen(matches: Sequence[Match]) -> dict[int, int]:
    """Item → how many of its pictures the subject shows, in as many of its own."""
    ours: dict[int, set[object]] = {}
    theirs: dict[int, set[object]] = {}
    for match in matches:
        if match.within and match.match_type not in HASH_TYPES:
            # Two renderings of one picture are one picture.
            ours.setdefault(match.item_id, set()).add((match.frame, match.time_ms))
            # Times, where there are any: a picture has a vector and a hash.
            time = match.item_time_ms
            place = (match.match_type, match.item_place) if time is None else time
            theirs.setdefault(match.item_id, set()).add(place)
    return {item: min(len(ours[item]), len(theirs[item])) for item in ours}


def verdict_of(matches: Sequence[Match]) -> Verdict:
    """The strictest that any of them asks for."""
    return strictest(match.verdict for match in matches)
