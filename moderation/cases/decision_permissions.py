"""Why somebody may not decide a case now, in words. ``queue.decidable`` asks in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from moderation.access.permissions import Actor, can
from moderation.cases.models import Decision, ReviewCase
from moderation.cases.queue import VOTES
from moderation.cases.states import TRANSITIONS, CaseState

DEMANDING = frozenset({CaseState.CONFLICT, CaseState.ESCALATED})
"""States that a lead decides."""
Votes = Mapping[int, Sequence[Decision]]


@dataclass(frozen=True)
class Refusal:
    """``forbidden``: this person never may; else it is the case's state that is in the way."""

    case_id: int
    why: str
    forbidden: bool = False


def votes(case_ids: Iterable[int]) -> Votes:
    """Case → what was said about it and still holds, oldest first; no opinions for quality."""
    found: defaultdict[int, list[Decision]] = defaultdict(list)
    rows = Decision.objects.filter(case__in=list(case_ids), undone_at=None, blind_review=False)
    for row in rows.order_by("pk"):
        found[row.case_id].append(row)
    return found


def refusals(cases: Iterable[ReviewCase], verb: str, by: Actor, said: Votes) -> list[Refusal]:
    """What stands in the way of each case that cannot be decided; empty if nothing does.

    ``cases``: with their image and video loaded.
    """
    found = (_refusal(case, verb, by, said.get(case.pk, ())) for case in cases)
    return [refusal for refusal in found if refusal is not None]


def check_each(
    cases: QuerySet[ReviewCase], verb: str, by: Actor
) -> tuple[list[ReviewCase], list[Refusal]]:
    """The cases that can be decided, and why the others cannot: for a page before the act."""
    rows = list(cases.select_related("image", "video", "claimed_by"))
    refused = refusals(rows, verb, by, votes(case.pk for case in rows))
    out = {refusal.case_id for refusal in refused}
    return [case for case in rows if case.pk not in out], refused


def _refusal(case: ReviewCase, verb: str, by: Actor, said: Sequence[Decision]) -> Refusal | None:
    state = CaseState(case.state)
    if verb == Decision.Verb.APPEAL:
        if CaseState.APPEALED in TRANSITIONS[state]:
            return None
        return Refusal(case.pk, f"It is {state}: only what was decided can be appealed.")
    if state in CaseState.decided():
        return Refusal(case.pk, f"It is {state} already.")
    if verb == Decision.Verb.ESCALATE and CaseState.ESCALATED not in TRANSITIONS[state]:
        return Refusal(case.pk, f"It is {state}: a lead has it already.")
    subject = case.image or case.video
    if subject is not None and subject.added_by == by.name:
        return Refusal(case.pk, "You uploaded it yourself.", forbidden=True)
    if any(vote.by_id == by.user.pk and vote.verb in VOTES for vote in said):
        return Refusal(case.pk, "You have had your say: it is for somebody else.", forbidden=True)
    if state in DEMANDING and not can(by, "decide escalated cases"):
        return Refusal(case.pk, f"It is in {state}: only a lead decides it.", forbidden=True)
    if holder := held_by(case, by):
        return Refusal(case.pk, f"{holder} is at it.")
    return None


def held_by(case: ReviewCase, by: Actor) -> str:
    """Who else has claimed the case; "" if nobody has."""
    if case.claimed_by is None or case.claimed_by == by.user or case.claimed_until is None:
        return ""
    return case.claimed_by.get_username() if case.claimed_until >= timezone.now() else ""
