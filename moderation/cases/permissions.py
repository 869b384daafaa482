"""Who may decide a case: one table of rules, for queues as SQL and for refusals as sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, Value, When
from django.utils.translation import gettext_lazy as _

from moderation.access.permissions import Actor, can
from moderation.access.words import word
from moderation.cases.models import Decision, ReviewCase, ReviewCaseQuerySet, locked
from moderation.cases.states import TRANSITIONS, CaseState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


Votes = Mapping[int, Sequence[Decision]]
VERB = Decision.Verb
VOTES: Final = (VERB.CONFIRM, VERB.DISMISS, VERB.APPEAL)
"""Verbs after which the same person may not decide the case again."""
LEAD_STATES: Final = frozenset({CaseState.CONFLICT, CaseState.ESCALATED})


@dataclass(frozen=True)
class Rule:
    """A reason why a person may not decide a case by one of the ``verbs``.

    ``blocks``: the SQL condition for the cases it blocks; None if it never blocks this person.
    ``sentence``: may use the ``state`` and the ``person`` who has the lock. ``forbidden``: True if
    this person may never decide the case, False if only its current state prevents it.
    """

    verbs: Collection[str]
    blocks: Callable[[Actor], Q | None]
    sentence: _StrPromise
    forbidden: bool = False


@dataclass(frozen=True)
class Refusal:
    case_id: int
    why: str
    forbidden: bool = False


def decidable(cases: ReviewCaseQuerySet, by: Actor) -> ReviewCaseQuerySet:
    """Return the undecided cases that the caller may confirm or dismiss now."""
    found = cases.filter(state__in=CaseState.undecided())
    for rule in RULES:
        if VERB.CONFIRM in rule.verbs and (blocked := rule.blocks(by)) is not None:
            found = (
                found.filter(~blocked) if isinstance(blocked, Exists) else found.exclude(blocked)
            )
    return found


def for_others(cases: ReviewCaseQuerySet, by: Actor) -> ReviewCaseQuerySet:
    """Return the undecided cases that the caller may not confirm or dismiss now."""
    found = cases.filter(state__in=CaseState.undecided())
    return found.annotate(rule=_first_rule(VERB.CONFIRM, by)).filter(rule__isnull=False)


def refusals(
    cases: Iterable[ReviewCase], verbs: Iterable[str], by: Actor
) -> dict[str, list[Refusal]]:
    """Return verb → one refusal for each case that the verb cannot decide. Makes one query."""
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
    rows = list(cases.select_related("claimed_by"))
    refused = refusals(rows, [verb], by)[verb]
    out = {refusal.case_id for refusal in refused}
    return [case for case in rows if case.pk not in out], refused


def live_votes(case_ids: Iterable[int]) -> Votes:
    """Return case → its live decisions, oldest first."""
    found: defaultdict[int, list[Decision]] = defaultdict(list)
    for row in Decision.objects.live().filter(case__in=list(case_ids)).order_by("pk"):
        found[row.case_id].append(row)
    return found


def is_blinded(vote: Decision, case: ReviewCase, by: Actor) -> bool:
    """Return whether to hide the vote from the caller: another person's first of two votes."""
    return case.state == CaseState.VOTED and vote.by_id != by.user.pk


def own_upload(by: Actor) -> Q:
    return Q(image__added_by=by.name) | Q(video__added_by=by.name)


def locked_by_others(by: Actor) -> Q:
    return locked() & ~Q(claimed_by=by.user)


def _voted(by: Actor) -> Q:
    votes = Decision.objects.live().filter(case=OuterRef("pk"), by=by.user, verb__in=VOTES)
    return Q(Exists(votes))


def _needs_lead(by: Actor) -> Q | None:
    return None if can(by, "decide escalated cases") else Q(state__in=LEAD_STATES)


def _cannot_become(state: CaseState) -> Q:
    return Q(state__in=[before for before, after in TRANSITIONS.items() if state not in after])


def _first_rule(verb: str, by: Actor) -> Case:
    blocks = {number: rule.blocks(by) for number, rule in enumerate(RULES) if verb in rule.verbs}
    cases = [When(blocked, then=Value(n)) for n, blocked in blocks.items() if blocked is not None]
    return Case(*cases, default=None, output_field=IntegerField())


def _refusal(rule: Rule, case: ReviewCase) -> Refusal:
    holder = case.lock_holder
    why = rule.sentence % {"state": word(case.state), "person": holder and holder.get_username()}
    return Refusal(case.pk, why, rule.forbidden)


DECIDING: Final = (VERB.CONFIRM, VERB.DISMISS, VERB.ESCALATE)
RULES: Final[Sequence[Rule]] = (
    Rule(
        [VERB.APPEAL],
        lambda by: _cannot_become(CaseState.APPEALED),
        _("It is %(state)s: only decided cases can be appealed."),
    ),
    Rule(
        DECIDING,
        lambda by: Q(state__in=CaseState.decided()),
        _("It is %(state)s already."),
    ),
    Rule(
        [VERB.ESCALATE],
        lambda by: _cannot_become(CaseState.ESCALATED),
        _("It is %(state)s: a lead has it already."),
    ),
    Rule(DECIDING, own_upload, _("You uploaded it yourself."), forbidden=True),
    Rule(DECIDING, _voted, _("You already voted: somebody else must decide it."), forbidden=True),
    Rule(DECIDING, _needs_lead, _("It is in %(state)s: only a lead decides it."), forbidden=True),
    Rule(DECIDING, locked_by_others, _("%(person)s is working on this case.")),
)
"""The first rule that blocks a case gives the reason."""
