"""All rules that turn matches into verdicts. No database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gallery.search import confidence as calibrated
from moderation.lists.policies import Policies, Policy
from moderation.lists.verdicts import ALLOWING, HASH_TYPES, PROVING, Action, Verdict, strictest
from moderation.screening.types import ItemMatch

FRAMES_OF_VIDEO: Final = 3
"""Different frames of a banned video that must match before it can block; one may be harmless."""

RECORDED_EACH: Final = 3
"""Matches recorded for each item and match type. A video may have one each second."""

RECORDED: Final = 100


def decide_verdicts(matches: Sequence[ItemMatch], policies: Policies) -> list[ItemMatch]:
    """Return the matches with their verdicts, most important first.

    The verdict is ``allow`` for near misses, for matches of lists in shadow, and if an allow list
    has priority.
    """
    seen = _pictures_seen(matches)
    allowing = _allowing(matches, policies)
    found = [replace(match, verdict=_verdict(match, policies, allowing, seen)) for match in matches]
    return sorted(found, key=_weight)


def not_allowed(matches: Sequence[ItemMatch], policies: Policies) -> list[ItemMatch]:
    """Return the matches of banned lists over which no allow list has priority here."""
    allowing = _allowing(matches, policies)
    return [
        match
        for match in matches
        if not policies[match.list.pk].is_allow_list
        and not _outranked(policies[match.list.pk], allowing)
    ]


def recorded(matches: Sequence[ItemMatch]) -> list[ItemMatch]:
    """Return the matches to store. Expects them in the order of ``decide_verdicts``."""
    counts: dict[tuple[int, str], int] = {}
    found = []
    for match in matches:
        key = match.item_id, match.match_type
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= RECORDED_EACH:
            found.append(match)
    return found[:RECORDED]


def withholds(matches: Sequence[ItemMatch]) -> bool:
    """Return whether the content is withheld until somebody has decided."""
    return any(
        match.verdict == Verdict.BLOCK
        # What a suspended item would otherwise block is still withheld.
        or (match.verdict == Verdict.REVIEW and (match.list.hold_on_review or match.suspended))
        for match in matches
    )


def confidence(match: ItemMatch) -> float:
    """Return the confidence of a match, 0 to 1, which orders the review queue.

    It is 1 for the same file and calibrated for copies. For other types it is 1 at distance 0, 1/2
    at the threshold, and falls further beyond it.
    """
    if match.match_type in HASH_TYPES:
        return 1.0
    if match.match_type == "copy":
        return calibrated.of_distance(match.distance)
    # Avoid a division by zero if the list's threshold is 0.
    far = max(match.thresholds.threshold, 1e-9)
    return max(0.0, 1.0 - match.distance / far / 2)


def _weight(match: ItemMatch) -> tuple[bool, bool, bool, float]:
    return (
        match.verdict != Verdict.BLOCK,
        match.verdict != Verdict.REVIEW,
        not match.within,
        -confidence(match),
    )


def _allowing(matches: Sequence[ItemMatch], policies: Policies) -> list[Policy]:
    """Return the allow lists with an entry for exactly this file. Only a SHA-256 proves that.

    Files with the same MD5 or SHA-1 can be made on purpose, and a similar file is not the same
    file.
    """
    found = (
        policies[match.list.pk]
        for match in matches
        if match.match_type == ALLOWING and not match.doubted
    )
    return [policy for policy in found if policy.is_allow_list]


def _outranked(policy: Policy, allowing: Sequence[Policy]) -> bool:
    return any(one.has_priority_over(policy) for one in allowing)


def _verdict(
    match: ItemMatch,
    policies: Policies,
    allowing: Sequence[Policy],
    seen: Mapping[int, int],
) -> Verdict:
    policy = policies[match.list.pk]
    if not policy.is_enforced or not match.within:
        return Verdict.ALLOW
    if _outranked(policy, allowing):
        return Verdict.ALLOW
    if policy.list.action == Action.BLOCK and _may_block(match, policy, seen):
        return Verdict.BLOCK
    return Verdict.REVIEW


def _may_block(match: ItemMatch, policy: Policy, seen: Mapping[int, int]) -> bool:
    if match.doubted or match.match_type not in policy.may_block:
        return False
    if match.match_type in HASH_TYPES:
        return True
    if match.match_type in PROVING and not match.sure:
        return False
    return not match.from_video or seen.get(match.item_id, 0) >= FRAMES_OF_VIDEO


def _pictures_seen(matches: Sequence[ItemMatch]) -> dict[int, int]:
    """Return item → how many of its frames are shown, in as many frames of the content."""
    ours: dict[int, set[object]] = {}
    theirs: dict[int, set[object]] = {}
    for match in matches:
        if match.within and match.match_type not in HASH_TYPES:
            # Two renderings of one picture are one picture.
            ours.setdefault(match.item_id, set()).add((match.frame, match.time_ms))
            # Use the time if there is one: the same frame has both a vector and a hash.
            time = match.item_time_ms
            place = (match.match_type, match.item_place) if time is None else time
            theirs.setdefault(match.item_id, set()).add(place)
    return {item: min(len(ours[item]), len(theirs[item])) for item in ours}


def verdict_of(matches: Sequence[ItemMatch]) -> Verdict:
    return strictest(match.verdict for match in matches)
