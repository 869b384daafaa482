"""Decide cases. One command makes one batch and one audit event, with all effects or none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor, NotAllowed, check, person
from moderation.audit import trail
from moderation.cases import enforcement, exchange_feedback, reasons, signals, webhook_events
from moderation.cases.enforcement import Moved, subject_of
from moderation.cases.models import CaseMatch, Decision, DecisionBatch, ReviewCase
from moderation.cases.permissions import Refusal, Votes, live_votes, refusals
from moderation.cases.states import CaseState, check_step
from moderation.lists import policies

REFUSALS_SHOWN = 3
STATE_AFTER: Final[Mapping[str, CaseState]] = {
    Decision.Verb.CONFIRM: CaseState.CONFIRMED,
    Decision.Verb.DISMISS: CaseState.DISMISSED,
    Decision.Verb.ESCALATE: CaseState.ESCALATED,
    Decision.Verb.APPEAL: CaseState.APPEALED,
}
"""Verb → state of the case, if one person decides."""


@dataclass
class _Step:
    """One case to decide. ``effects``: what undoing will read."""

    case: ReviewCase
    after: CaseState
    effects: dict[str, Any] = field(default_factory=dict)


@transaction.atomic
def decide(
    *,
    by: Actor,
    case_ids: Iterable[int],
    verb: str,
    reason: str = "",
    note: str = "",
    allow: bool = False,
    looked: bool | Collection[int] = False,
) -> DecisionBatch:
    """Decide 1 to 1,000 cases with the same verb, all or none.

    ``verb``: confirm (banned content: quarantine it), dismiss (a false positive: release what the
    case withheld), escalate (to a lead), appeal (reopen for another person). ``reason``: a code of
    ``reasons.REASONS``, "" for the verb's first. ``allow``, only with dismiss: put the exact bytes
    on the allow list. ``looked``: the caller saw the media; or the ids of the cases where so.

    If two people must decide, the first vote changes only the state. A second vote that agrees
    settles the case; one that differs makes it a ``conflict``. The bytes are allowed only if both
    people set ``allow``.

    Raise ``NotAllowed`` (also for the caller's own upload, and for a second vote by the same
    person), ``NotFound``, ``UnknownReason``, and ``Conflict`` if a case cannot be decided now.
    """
    check(by, "decide cases")
    user = person(by)
    code = reasons.checked(_verb(verb), reason)
    if allow and verb != Decision.Verb.DISMISS:
        raise UserError(
            gettext("Only dismissed cases can be put on the allow list."), field="allow"
        )
    cases = ReviewCase.objects.lock_selected(case_ids)
    _refuse(refusals(cases, [verb], by)[verb])
    votes = live_votes(case.pk for case in cases)
    two = needing_two(cases)
    steps = [_step(case, verb, votes, case.pk in two) for case in cases]
    # Store the cases first: enforcement reads which cases still withhold an item.
    _store(steps)
    _apply(steps, verb, votes, by, allow, note)
    batch = DecisionBatch.objects.create(by=user, reason=code, note=note)
    made = Decision.objects.bulk_create(
        (
            Decision(
                case=step.case,
                batch=batch,
                by=user,
                verb=verb,
                state_before=step.case.state,
                state_after=step.after,
                looked=looked if isinstance(looked, bool) else step.case.pk in looked,
                effects=step.effects,
            )
            for step in steps
        ),
        batch_size=500,
    )
    webhook_events.enqueue_decisions(made)
    signals.decided.send(sender=Decision, decisions=made)
    exchange_feedback.update(step.case.pk for step in steps)
    _record(batch, steps, verb, by)
    return batch


def _verb(verb: str) -> str:
    if verb not in Decision.Verb.values:
        known = ", ".join(Decision.Verb.values)
        raise UserError(
            gettext("%(verb)r is not a decision: give one of %(known)s.")
            % {"verb": verb, "known": known},
            field="verb",
        )
    return verb


def _refuse(found: Sequence[Refusal]) -> None:
    if not found:
        return
    sentences = [
        gettext("Case %(number)s: %(why)s") % {"number": one.case_id, "why": one.why}
        for one in found[:REFUSALS_SHOWN]
    ]
    if (more := len(found) - REFUSALS_SHOWN) > 0:
        sentences.append(gettext("And %(more)s more.") % {"more": more})
    kind: Callable[[str], UserError] = NotAllowed if found[0].forbidden else Conflict
    raise kind(" ".join(sentences))


def needing_two(cases: Sequence[ReviewCase]) -> set[int]:
    """Return the ids of cases that two people must decide, due to the list, severity or case."""
    ids = [case.pk for case in cases]
    matches = CaseMatch.objects.filter(case__in=ids, list__two_person=True).order_by()
    by_list = set(matches.values_list("case", flat=True))
    return {
        case.pk
        for case in cases
        if case.two_person or policies.needs_two_people(case.severity, case.pk in by_list)
    }


def _step(case: ReviewCase, verb: str, votes: Votes, two: bool) -> _Step:
    after = STATE_AFTER[verb]
    if after in CaseState.decided():
        if case.state == CaseState.OPEN and two:
            after = CaseState.VOTED
        elif case.state == CaseState.VOTED:
            first = _first_vote(case, votes)
            if first is not None and first.verb != verb:
                after = CaseState.CONFLICT
    check_step(case.state, after)
    decided_at = case.decided_at.isoformat() if case.decided_at else None
    return _Step(case, after, {"held": case.held, "decided_at": decided_at})


def _first_vote(case: ReviewCase, votes: Votes) -> Decision | None:
    found = [one for one in votes.get(case.pk, ()) if one.state_after == CaseState.VOTED]
    return found[-1] if found else None


def _apply(
    steps: Sequence[_Step], verb: str, votes: Votes, by: Actor, allow: bool, note: str
) -> None:
    settled = [step for step in steps if step.after in CaseState.decided()]
    if verb == Decision.Verb.CONFIRM:
        # Decisions on samples of lists in shadow have no effect.
        acting = [step.case for step in settled if step.case.origin != ReviewCase.Origin.SHADOW]
        moved = enforcement.quarantine(filter(None, map(subject_of, acting)), by)
        _note_moved(settled, moved)
    elif verb == Decision.Verb.DISMISS:
        withheld = [step.case for step in settled if step.case.held]
        ReviewCase.objects.filter(pk__in=[case.pk for case in withheld]).update(held=False)
        _note_moved(settled, enforcement.release(filter(None, map(subject_of, withheld)), by))
    if not allow:
        return
    for step in steps:
        step.effects["allow"] = True
    wanted = [step.case for step in settled if _all_want_it(step.case, votes)]
    items = enforcement.allow_bytes(wanted, by, note)
    for step in settled:
        if step.case.pk in items:
            step.effects["allow_item"] = items[step.case.pk]


def _all_want_it(case: ReviewCase, votes: Votes) -> bool:
    first = _first_vote(case, votes) if case.state == CaseState.VOTED else None
    return first is None or bool(first.effects.get("allow"))


def _note_moved(steps: Sequence[_Step], moved: Moved) -> None:
    for step in steps:
        subject = subject_of(step.case)
        if subject in moved:
            step.effects["subject"] = [*subject, *moved[subject]]


def _store(steps: Sequence[_Step]) -> None:
    now = timezone.now()
    for after in {step.after for step in steps}:
        cases = ReviewCase.objects.filter(pk__in=[s.case.pk for s in steps if s.after == after])
        final = after in CaseState.decided()
        if final:
            enforced = cases.exclude(origin=ReviewCase.Origin.SHADOW)
            enforced.update(held=after == CaseState.CONFIRMED)
        cases.update(
            state=after,
            decided_at=now if final else None,
            claimed_by=None,
            claimed_until=None,
        )


def _record(batch: DecisionBatch, steps: Sequence[_Step], verb: str, by: Actor) -> None:
    states = sorted({(step.case.state, step.after.value) for step in steps})
    trail.record(
        by=by.name,
        verb=f"case.{STATE_AFTER[verb]}",
        subject=steps[0].case if len(steps) == 1 else batch,
        before={"states": sorted({before for before, _ in states})},
        after={
            "batch": batch.pk,
            "cases": [step.case.pk for step in steps],
            "states": sorted({after for _, after in states}),
            "moved": sum("subject" in step.effects for step in steps),
            "allow_items": sorted({one["allow_item"] for one in _effects(steps, "allow_item")}),
        },
        count=len(steps),
        reason=": ".join(filter(None, (reasons.in_english(verb, batch.reason), batch.note))),
    )


def _effects(steps: Sequence[_Step], name: str) -> list[dict[str, Any]]:
    return [step.effects for step in steps if name in step.effects]
