"""Who may decide a case: the SQL of the queue, the refusal of each case, and what was agreed."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from django.utils import timezone

from gallery.items.models import Image
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.cases import deciding, permissions
from moderation.cases.models import Decision, DecisionBatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.lists.verdicts import Severity
from tests.moderation import factories as make

pytestmark = pytest.mark.django_db

ROLES = [role for role in Role if role is not Role.NOBODY]
NO_VOTE = ""
VOTES = [NO_VOTE, *Decision.Verb.values, "undone confirm", "second opinion"]
OTHERS = ["", "own upload", "locked", "own lock", "past lock"]
COMBINATIONS = list(product(CaseState.values, VOTES, OTHERS))


def expected(role: Role, state: str, vote: str, other: str, verb: str) -> str:
    """What the refusal says in the words of the specification; "" if there is none."""
    decided = state in ("confirmed", "dismissed")
    if verb == "appeal":
        return "" if decided else "only decided cases can be appealed"
    if decided:
        return "already"
    if verb == "escalate" and state in ("conflict", "escalated"):
        return "a lead has it already"
    if other == "own upload":
        return "uploaded it yourself"
    if vote in ("confirm", "dismiss", "appeal"):
        return "already voted"
    if state in ("conflict", "escalated") and role < Role.LEAD:
        return "only a lead decides it"
    return "other is working on this case" if other == "locked" else ""


def make_cases(by: Actor) -> dict[int, tuple[str, str, str]]:
    """A case for each combination of state, what this person said, and what else is true."""
    item = make.make_item(make.make_list(severity=Severity.LOW))
    other = make.make_person(Role.MODERATOR, f"{by.user.get_username()}-other")
    now = timezone.now()
    locks = {
        "locked": (other, now + timedelta(minutes=9)),
        "own lock": (by.user, now + timedelta(minutes=9)),
        "past lock": (other, now - timedelta(minutes=1)),
    }
    upload = Image.objects.create(
        md5=f"{by.user.pk:032x}", sha1=f"{by.user.pk:040x}", sha256=f"{by.user.pk:064x}",
        width=9, height=9, bytes=9, format="png", added_by=by.name,
    )  # fmt: skip
    found = {}
    for state, vote, more in COMBINATIONS:
        holder, until = locks.get(more, (None, None))
        case = make.make_case(
            item,
            upload if more == "own upload" else None,
            state=state,
            decided_at=now if state in CaseState.decided() else None,
            claimed_by=holder,
            claimed_until=until,
        )
        if vote:
            Decision.objects.create(
                case=case,
                batch=DecisionBatch.objects.create(by=by.user),
                by=by.user,
                verb="confirm" if " " in vote else vote,
                state_before="open",
                state_after=state,
                undone_at=now if vote.startswith("undone") else None,
                blind_review=vote == "second opinion",
            )
        found[case.pk] = (state, vote, more)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name.lower())
def test_the_queue_and_the_refusals_follow_the_same_rules(role: Role) -> None:
    by = Actor.person(make.make_person(role))
    made = make_cases(by)
    cases = ReviewCase.objects.filter(pk__in=made).select_related("claimed_by")
    refused = permissions.refusals(cases, Decision.Verb.values, by)
    for verb in Decision.Verb.values:
        why = {refusal.case_id: refusal.why for refusal in refused[verb]}
        for pk, combination in made.items():
            sentence = expected(role, *combination, verb)
            assert sentence in why[pk] if sentence else pk not in why, (verb, *combination)
        fit, left = permissions.split_decidable(cases.order_by("pk"), verb, by)
        assert [one.case_id for one in left] == sorted(why)
        assert {case.pk for case in fit} == made.keys() - why.keys()
        if verb in ("confirm", "dismiss"):
            assert set(permissions.decidable(cases, by)) == set(fit), verb


@pytest.mark.slow
def test_deciding_refuses_what_the_rules_refuse() -> None:
    by = Actor.person(make.make_person(Role.MODERATOR))
    made = make_cases(by)
    cases = ReviewCase.objects.filter(pk__in=made).select_related("claimed_by")
    refused = {one.case_id: one for one in permissions.refusals(cases, ["dismiss"], by)["dismiss"]}
    for pk in made:
        if pk not in refused:
            deciding.decide(by=by, case_ids=[pk], verb="dismiss")
            continue
        kind = NotAllowed if refused[pk].forbidden else deciding.Conflict
        with pytest.raises(kind, match=refused[pk].why):
            deciding.decide(by=by, case_ids=[pk], verb="dismiss")
