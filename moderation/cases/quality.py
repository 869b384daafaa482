"""Second opinions: another person reviews a share of the decided cases, without seeing the
decision. They change nothing. They measure how far people agree."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Subquery, Value
from django.db.models.fields import CharField
from django.db.models.functions import MD5, Cast, Concat, Substr
from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor, NotAllowed, can, check, person
from moderation.audit import trail
from moderation.cases.intervals import MIN_DECIDED
from moderation.cases.models import (
    CaseMatch,
    Decision,
    DecisionBatch,
    ReviewCase,
    ReviewCaseQuerySet,
)
from moderation.cases.permissions import own_upload
from moderation.cases.states import CaseState

WINDOW: Final = timedelta(days=14)
"""Maximum age of a decision to review."""
FINAL: Final = (Decision.Verb.CONFIRM, Decision.Verb.DISMISS)
DIGITS: Final = 6


def sampled_for_review() -> ReviewCaseQuerySet:
    """Return the share of decided cases that is reviewed. It is always the same cases.

    A keyed hash of the id selects them, so nobody can know while deciding whether a case is among
    them.
    """
    since = timezone.now() - WINDOW
    cases = ReviewCase.objects.filter(state__in=CaseState.decided(), decided_at__gte=since)
    share = settings.QUALITY_SHARE
    if share >= 1:
        return cases
    key = hashlib.sha256(f"quality {settings.SECRET_KEY}".encode()).hexdigest()[:16]
    lot = Substr(MD5(Concat(Value(key), Cast("pk", CharField()))), 1, DIGITS)
    limit = f"{int(share * 16**DIGITS):0{DIGITS}x}"
    return cases.annotate(lot=lot).filter(lot__lt=limit)


def waiting_for_review(by: Actor) -> ReviewCaseQuerySet:
    """Return the sampled cases that the caller may review: others decided and uploaded them, and
    nobody has reviewed them."""
    decisions = Decision.objects.live().filter(case=OuterRef("pk"), verb__in=FINAL)
    answers = Decision.objects.filter(case=OuterRef("pk"), undone_at=None)
    return (
        sampled_for_review()
        .exclude(Exists(answers.filter(blind_review=True)))
        .exclude(Exists(answers.filter(by=by.user)))
        .filter(Exists(decisions))
        .exclude(pk__in=ReviewCase.objects.filter(own_upload(by)).values("pk"))
        .order_by("decided_at", "pk")
    )


@transaction.atomic
def give_opinion(
    *, by: Actor, case_id: int, verb: str, note: str = "", looked: bool = False
) -> Decision:
    """Give a second opinion on a decided case: ``confirm`` or ``dismiss``. The case does not
    change.

    Raise ``NotAllowed`` (also if the caller decided the case), ``NotFound``, and ``Conflict`` if
    another person has reviewed it meanwhile.
    """
    check(by, "decide cases")
    user = person(by)
    if verb not in FINAL:
        raise UserError(gettext("A second opinion is confirm or dismiss."), field="verb")
    case = ReviewCase.objects.select_for_update(of=("self",)).existing(case_id)
    if not waiting_for_review(by).filter(pk=case_id).exists():
        if Decision.objects.filter(case=case, by=user, undone_at=None).exists():
            raise NotAllowed(gettext("You already voted on this case."))
        raise Conflict(
            gettext("Case %(number)s needs no second opinion any more.") % {"number": case_id}
        )
    batch = DecisionBatch.objects.create(by=user, reason="quality", note=note)
    made = Decision.objects.create(
        case=case,
        batch=batch,
        by=user,
        verb=verb,
        state_before=case.state,
        state_after=case.state,
        looked=looked,
        blind_review=True,
    )
    trail.record(
        by=by.name, verb="case.judged_again", subject=case, after={"verb": verb}, reason=note
    )
    return made


@dataclass(frozen=True)
class AgreementRow:
    name: str
    agreement: Agreement


@dataclass(frozen=True)
class Agreements:
    all: Agreement
    people: Sequence[AgreementRow]
    lists: Sequence[AgreementRow]


def agreements(*, by: Actor, since: timedelta = timedelta(days=90)) -> Agreements:
    """Return how far second opinions agree with decisions, sorted by name. A lead sees everybody's
    numbers, others only their own. Raise ``NotAllowed``."""
    check(by, "view cases")
    pairs = _pairs(timezone.now() - since)
    all_people = can(by, "undo the decisions of others")
    names = _lists_of(second.case_id for _, second in pairs)
    verbs = [(first.verb, second.verb) for first, second in pairs]
    return Agreements(
        agreement(verbs),
        _lines(
            (first.by.get_username(), pair)
            for (first, _), pair in zip(pairs, verbs, strict=True)
            if all_people or first.by == by.user
        ),
        _lines(
            (name, pair)
            for (_, second), pair in zip(pairs, verbs, strict=True)
            for name in names[second.case_id]
        ),
    )


def _pairs(since: datetime) -> list[tuple[Decision, Decision]]:
    """Return (decision, second opinion on it) for each second opinion since that time."""
    before = Decision.objects.live().filter(
        case=OuterRef("case"), verb__in=FINAL, pk__lt=OuterRef("pk")
    )
    opinions = (
        Decision.objects.filter(blind_review=True, undone_at=None, created_at__gte=since)
        .annotate(first=Subquery(before.order_by("-pk").values("pk")[:1]))
        .exclude(first=None)
        .order_by("pk")
    )
    firsts = Decision.objects.select_related("by").in_bulk([one.first for one in opinions])
    return [(firsts[one.first], one) for one in opinions]


def _lists_of(case_ids: Iterable[int]) -> defaultdict[int, set[str]]:
    found: defaultdict[int, set[str]] = defaultdict(set)
    matches = CaseMatch.objects.filter(case__in=set(case_ids)).order_by()
    for case, name in matches.values_list("case", "list_name").distinct():
        found[case].add(name)
    return found


def _lines(pairs: Iterable[tuple[str, tuple[str, str]]]) -> list[AgreementRow]:
    by_name: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, pair in pairs:
        by_name[name].append(pair)
    return [AgreementRow(name, agreement(found)) for name, found in sorted(by_name.items())]


@dataclass(frozen=True, slots=True)
class Agreement:
    """``cases``: decided twice. ``alike``: with the same answer. ``raw``: alike / cases.

    ``kappa``: Cohen's kappa, which corrects for agreement by chance, given each side's share of
    confirmations: 1 = always alike, 0 = as by chance. Both are None below ``MIN_DECIDED`` cases.
    kappa is also None if both sides gave one same answer to all cases: chance alone would then
    agree.
    """

    cases: int
    alike: int
    raw: float | None
    kappa: float | None


def agreement(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Compare pairs (first answer, second answer). Cohen 1960, "A coefficient of agreement for
    nominal scales"."""
    counted = Counter(pairs)
    cases = counted.total()
    alike = sum(count for (one, two), count in counted.items() if one == two)
    if cases < MIN_DECIDED:
        return Agreement(cases, alike, None, None)
    raw = alike / cases
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for (one, two), count in counted.items():
        first[one] += count
        second[two] += count
    chance = sum(first[answer] * second[answer] for answer in first) / cases**2
    kappa = (raw - chance) / (1 - chance) if chance < 1 else None
    return Agreement(cases, alike, raw, kappa)
