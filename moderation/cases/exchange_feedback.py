"""What decisions say about items that came from hash exchanges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db.models import F

from moderation.cases.models import THRESHOLD_MET, CaseMatch, Decision, ReviewCase
from moderation.cases.states import CaseState
from moderation.exchanges import feedback
from moderation.exchanges.feedback import Decided

ABOUT_THE_ITEM: Final = frozenset({"same", "edited"})
"""Reasons to confirm that say that the item was found. Others say nothing about it."""


def update(case_ids: Iterable[int]) -> None:
    """Tell the exchanges what now counts of the items that these cases are about.

    Call it once the states are stored. Matches beyond the threshold, and decisions on samples of
    lists in shadow, say nothing.
    """
    lists = feedback.told_lists()
    if not lists:
        return
    matches = CaseMatch.objects.filter(THRESHOLD_MET, list__in=lists, item__isnull=False)
    items = set(matches.filter(case__in=list(case_ids)).values_list("item", flat=True))
    if not items:
        return
    decided: dict[int, Decided] = dict.fromkeys(items, "undone")
    decisions = (
        Decision.objects.live()
        .filter(
            case__state=F("state_after"),
            case__state__in=CaseState.decided(),
            case__matches__in=matches.filter(item__in=items),
        )
        .exclude(case__origin=ReviewCase.Origin.SHADOW)
        .order_by("pk")
    )
    # The latest decision about an item counts.
    for item, verb, reason in decisions.values_list("case__matches__item", "verb", "batch__reason"):
        if item in decided:
            decided[item] = _decided(verb, reason)
    feedback.want(decided)


def _decided(verb: str, reason: str) -> Decided:
    if verb == Decision.Verb.CONFIRM:
        return "confirmed" if reason in ABOUT_THE_ITEM else "undone"
    return "wrong" if reason == "wrong_item" else "dismissed"
