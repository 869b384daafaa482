"""Who may decide a case: one table of rules, for a queue as SQL and for each case as a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, Value, When

from moderation.access.permissions import Actor, can
from moderation.cases.models import Decision, ReviewCase, ReviewCaseQuerySet, locked
from moderation.cases.states import TRANSITIONS, CaseState

Votes = Mapping[int, Sequence[Decision]]
VERB = Decision.Verb
VOTES: Final = (VERB.CONFIRM, VERB.DISMISS, VERB.APPEAL)
"""What bars a person from deciding the same case again."""
LEAD_STATES: Final = frozenset({CaseState.CONFLICT, CaseState.ESCALATED})
"""States that a lead decides."""


@dataclass(frozen=True)
class Rule:
    """Why somebody may not decide a case by one of the ``verbs``.

    ``blocks``: the condition in SQL for the cases it concerns; None if it never concerns this
    person. ``sentence``: with the case's ``{state}`` and ``{holder}`` of its lock. ``forbidden``:
    this person never may; otherwise it is the case's state that is in the way.
    """

    verbs: Collection[str]
    blocks: Callable[[Actor], Q | None]
    sentence: str
    forbidden: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a case cannot be decided now; ``forbidden`` as its rule has it."""

    case_id: int
    why: str
    forbidden: bool = False


def decidable(cases: ReviewCaseQuerySet, by: Actor) -> ReviewCaseQuerySet:
    """The undecided cases that this person may confirm or dismiss now."""
    found = cases.filter(state__in=CaseState.undecided())
    for rule in RULES:
        if VERB.CONFIRM in rule.verbs and (blocked := rule.blocks(by)) is not None:
            found = (
                found.filter(~blocked) if isinstance(blocked, Exists) else found.exclude(blocked)
            )
    return found


def refusals(
    cases: Iterable[ReviewCase], verbs: Iterable[str], by: Actor
) -> dict[str, list[Refusal]]:
    """Verb → a refusal for each case that cannot be decided so; by one query."""
    by_id = {case.pk: case for case in cases}
    found: dict[str, list[Refusal]] = {verb: [] for verb in verbs}
    numbers = {f"rule_{verb}": _first_rule(verb, by) for verb in found}
    rows = ReviewCase.objects.filter(pk__in=by_id).order_by("pk").annotate(**numbers)
    for pk, *numbered in rows.values_list("pk", *numbers):
        for verb, number in zip(found, numbered, strict=True):
            if number is not None:
                found[verb].append(_refusal(RULES[number], by_id[pk]))
    return found


def split_decidable(
    cases: ReviewCaseQuerySet, verb: str, by: Actor
) -> tuple[list[ReviewCase], list[Refusal]]:
    """The cases that can be decided, and why the others cannot: for a page before the act."""
    rows = list(cases.select_related("claimed_by"))
    refused = refusals(rows, [verb], by)[verb]
    out = {refusal.case_id for refusal in refused}
    return [case for case in rows if case.pk not in out], refused


def live_votes(case_ids: Iterable[int]) -> Votes:
    """Case → the decisions about it that count, oldest first."""
    found: defaultdict[int, list[Decision]] = defaultdict(list)
    for row in Decision.objects.live().filter(case__in=list(case_ids)).order_by("pk"):
        found[row.case_id].append(row)
    return found


def is_blinded(vote: Decision, case: ReviewCase, by: Actor) -> bool:
    """Whether a vote must not be shown to this person yet: not before there are two."""
    return case.state == CaseState.VOTED and vote.by_id != by.user.pk


def own_upload(by: Actor) -> Q:
    """Cases about what this person uploaded."""
    return Q(image__added_by=by.name) | Q(video__added_by=by.name)


def locked_by_others(by: Actor) -> Q:
    """Cases that somebody else is working on."""
    return locked() & ~Q(claimed_by=by.user)


def _voted(by: Actor) -> Q:
    votes = Decision.objects.live().filter(case=OuterRef("pk"), by=by.user, verb__in=VOTES)
    return Q(Exists(votes))


def _needs_lead(by: Actor) -> Q | None:
    return None if can(by, "decide escalated cases") else Q(state__in=LEAD_STATES)


def _cannot_become(state: CaseState) -> Q:
    return Q(state__in=[before for before, after in TRANSITIONS.items() if state not in after])


def _first_rule(verb: str, by: Actor) -> Case:
    """The number of the first rule that stands in a verb's way; null if none does."""
    blocks = {number: rule.blocks(by) for number, rule in enumerate(RULES) if verb in rule.verbs}
    cases = [When(blocked, then=Value(n)) for n, blocked in blocks.items() if blocked is not None]
    return Case(*cases, default=None, output_field=IntegerField())


def _refusal(rule: Rule, case: ReviewCase) -> Refusal:
    holder = case.lock_holder
    why = rule.sentence.format(state=CaseState(case.state), holder=holder and holder.get_username())
    return Refusal(case.pk, why, rule.forbidden)


DECIDING: Final = (VERB.CONFIRM, VERB.DISMISS, VERB.ESCALATE)
RULES: Final[Sequence[Rule]] = (
    Rule(
        [VERB.APPEAL],
        lambda by: _cannot_become(CaseState.APPEALED),
        "It is {state}: only decided cases can be appealed.",
    ),
    Rule(
        DECIDING,
        lambda by: Q(state__in=CaseState.decided()),
        "It is {state} already.",
    ),
    Rule(
        [VERB.ESCALATE],
        lambda by: _cannot_become(CaseState.ESCALATED),
        "It is {state}: a lead has it already.",
    ),
    Rule(DECIDING, own_upload, "You uploaded it yourself.", forbidden=True),
    Rule(DECIDING, _voted, "You already voted: somebody else must decide it.", forbidden=True),
    Rule(DECIDING, _needs_lead, "It is in {state}: only a lead decides it.", forbidden=True),
    Rule(DECIDING, locked_by_others, "{holder} is working on this case."),
)
"""The first that concerns a case is given as the reason."""
