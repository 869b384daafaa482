"""Golden cases: settled cases, harmless to look at, that are shown again as if they were open.

A lead chooses them, and how often one comes: a share per hundred decisions, none at first. An
answer is a row of its own, no decision: it changes no case and no upload, and no number, report,
export, webhook or threshold counts it. Leads see how often each person's answers agree.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils.translation import gettext

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check, person
from moderation.access.words import word
from moderation.audit import trail
from moderation.cases import media
from moderation.cases.models import (
    Decision,
    GoldenAnswer,
    GoldenCase,
    GoldenShare,
    ReviewCase,
    ReviewCaseQuerySet,
)
from moderation.cases.permissions import own_upload
from moderation.cases.states import CaseState

ACTION: Final = "choose golden cases"
EXPECTED: Final = {
    CaseState.CONFIRMED: Decision.Verb.CONFIRM,
    CaseState.DISMISSED: Decision.Verb.DISMISS,
}
TRIED: Final = 5
"""Golden cases that are tried at most for one whose picture is still stored."""


def share() -> int:
    """Return how many of a hundred cases that a person is shown next are golden."""
    row = GoldenShare.objects.first()
    return row.per_hundred if row else 0


@transaction.atomic
def set_share(*, by: Actor, per_hundred: int) -> None:
    """Set how many of a hundred cases are golden, from 0 to 100. Raise ``NotAllowed``."""
    check(by, ACTION)
    if not 0 <= per_hundred <= 100:
        raise UserError(gettext("Give 0 (never) to 100 of a hundred cases."), field="per_hundred")
    before = share()
    row, _ = GoldenShare.objects.update_or_create(pk=1, defaults={"per_hundred": per_hundred})
    trail.record(
        by=by.name,
        verb="golden.share_changed",
        subject=row,
        before={"per_hundred": before},
        after={"per_hundred": per_hundred},
    )


@transaction.atomic
def add(*, by: Actor, case_id: int) -> GoldenCase:
    """Make a settled case a golden one; its decision is the expected answer.

    Raise ``NotAllowed``, ``NotFound``, ``Conflict``.
    """
    check(by, ACTION)
    case = ReviewCase.objects.select_for_update(of=("self",)).existing(case_id, "case")
    verb = EXPECTED.get(CaseState(case.state))
    if verb is None:
        raise Conflict(
            gettext("Case %(number)s is %(state)s: only settled cases can be golden.")
            % {"number": case_id, "state": word(case.state)}
        )
    row, is_new = GoldenCase.objects.get_or_create(
        case=case, defaults={"verb": verb, "added_by": person(by)}
    )
    if not is_new:
        raise Conflict(gettext("Case %(number)s is a golden case already.") % {"number": case_id})
    trail.record(by=by.name, verb="golden.added", subject=case, after={"verb": verb})
    return row


@transaction.atomic
def remove(*, by: Actor, case_id: int) -> None:
    """Show the case as a golden one no more. Answers stay.

    Raise ``NotAllowed``, ``NotFound``.
    """
    check(by, ACTION)
    row = GoldenCase.objects.select_related("case").filter(case=case_id).first()
    if row is None:
        raise NotFound(
            gettext("Case %(number)s is no golden case.") % {"number": case_id}, field="case"
        )
    case = row.case
    row.delete()
    trail.record(by=by.name, verb="golden.removed", subject=case)


def draw(by: Actor) -> ReviewCase | None:
    """Return a golden case to show now, or usually None: as often as ``share`` says."""
    wanted = share()
    if not wanted or secrets.randbelow(100) >= wanted:
        return None
    found = list(offered(by).order_by("?")[:TRIED])
    return next((case for case in found if media.has_media(case)), None)


def offered(by: Actor) -> ReviewCaseQuerySet:
    """Return the golden cases that the caller can be shown: neither answered, decided nor uploaded
    by them, and still decided as when they were chosen."""
    said = Decision.objects.filter(case=OuterRef("pk"), by=by.user)
    answered = GoldenAnswer.objects.filter(case=OuterRef("pk"), by=by.user)
    settled = Q(state=CaseState.CONFIRMED, golden__verb=Decision.Verb.CONFIRM) | Q(
        state=CaseState.DISMISSED, golden__verb=Decision.Verb.DISMISS
    )
    own = ReviewCase.objects.filter(own_upload(by)).values("pk")
    return (
        ReviewCase.objects.filter(settled)
        .exclude(Exists(said))
        .exclude(Exists(answered))
        .exclude(pk__in=own)
        .select_related("image", "video")
    )


@transaction.atomic
def answer(*, by: Actor, case_id: int, verb: str, looked: bool) -> GoldenAnswer:
    """Record what the caller answered. Raise ``NotAllowed``, ``Conflict``."""
    check(by, "decide cases")
    user = person(by)
    if verb not in (Decision.Verb.CONFIRM, Decision.Verb.DISMISS, Decision.Verb.ESCALATE):
        raise UserError(
            gettext("%(verb)r is not a decision about an open case.") % {"verb": verb}, field="verb"
        )
    case = offered(by).filter(pk=case_id).select_related("golden").first()
    if case is None:
        raise Conflict(gettext("Case %(number)s is decided already.") % {"number": case_id})
    made = GoldenAnswer.objects.create(
        case=case, by=user, verb=verb, expected=case.golden.verb, looked=looked
    )
    trail.record(by=by.name, verb="golden.answered", subject=case, after={"verb": verb})
    return made


@transaction.atomic
def take_back(*, by: Actor, answer_id: int) -> int:
    """Remove an answer of the caller. Return the case. Raise ``NotAllowed``, ``NotFound``."""
    check(by, "decide cases")
    row = GoldenAnswer.objects.filter(pk=answer_id, by=person(by)).select_related("case").first()
    if row is None:
        raise NotFound(gettext("There is no decision of yours to undo."))
    row.delete()
    trail.record(by=by.name, verb="golden.taken_back", subject=row.case, before={"verb": row.verb})
    return row.case_id


def last_answer(by: Actor) -> GoldenAnswer | None:
    return GoldenAnswer.objects.filter(by=by.user).order_by("-pk").first()


@dataclass(frozen=True)
class GoldenAgreement:
    """How many golden cases a person answered as expected. Escalating one does not agree."""

    name: str
    answered: int
    agreed: int

    @property
    def share(self) -> float | None:
        return self.agreed / self.answered if self.answered else None


def agreement(*, by: Actor) -> Sequence[GoldenAgreement]:
    """Return a row for each person who answered, by name. Raise ``NotAllowed``."""
    check(by, ACTION)
    rows = GoldenAnswer.objects.order_by("by__username").values_list("by__username")
    counted = rows.annotate(answered=Count("pk"), agreed=Count("pk", filter=Q(verb=F("expected"))))
    return [GoldenAgreement(*row) for row in counted]
