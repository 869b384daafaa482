"""Legal holds: what a case is about, and what it keeps, is not deleted until they end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.cases.case_locks import locked_cases
from moderation.cases.models import ReviewCase

MOST: Final = 1000
ACTION: Final = "set and lift legal holds"


@transaction.atomic
def set_hold(
    *, by: Actor, case_ids: Iterable[int], reason: str, until: datetime | None = None
) -> int:
    """Put cases under a legal hold, or change the one they are under. Answers how many.

    Without ``until`` it lasts until somebody lifts it. Raises ``NotAllowed``, ``NotFound``, and
    ``UserError`` for a hold without a reason or with an end that is past.
    """
    check(by, ACTION)
    why = _reason(reason)
    if until is not None and until <= timezone.now():
        raise UserError("Give an end that is still to come, or none.", field="until")
    cases = _cases(case_ids)
    before = [_facts(case) for case in cases]
    for case in cases:
        case.legal_hold, case.legal_hold_until, case.legal_hold_reason = True, until, why
    return _store(cases, before, "set", by, why)


@transaction.atomic
def lift_hold(*, by: Actor, case_ids: Iterable[int], reason: str) -> int:
    """End the legal holds of cases now. Answers how many were under one.

    Raises ``NotAllowed``, ``NotFound``, ``UserError`` without a reason, and ``Conflict`` if none of
    the cases is under a hold.
    """
    check(by, ACTION)
    why = _reason(reason)
    cases = [case for case in _cases(case_ids) if case.is_on_legal_hold]
    if not cases:
        raise Conflict("There is no legal hold to lift.")
    before = [_facts(case) for case in cases]
    for case in cases:
        case.legal_hold, case.legal_hold_until, case.legal_hold_reason = False, None, ""
    return _store(cases, before, "lifted", by, why)


def _reason(reason: str) -> str:
    why = reason.strip()
    if not why:
        raise UserError("Say why: a legal hold needs a reason.", field="reason")
    return why


def _cases(case_ids: Iterable[int]) -> list[ReviewCase]:
    wanted = set(case_ids)
    if not 1 <= len(wanted) <= MOST:
        raise UserError(f"These are {len(wanted):,} cases: give 1 to {MOST:,}.", field="cases")
    cases = locked_cases(wanted)
    if lost := wanted - {case.pk for case in cases}:
        raise NotFound(f"There is no case {min(lost)}.", field="cases")
    return cases


def _facts(case: ReviewCase) -> dict[str, Any]:
    return {
        "legal_hold": case.is_on_legal_hold,
        "until": case.legal_hold_until,
        "reason": case.legal_hold_reason,
    }


def _store(cases: list[ReviewCase], before: list[Any], verb: str, by: Actor, reason: str) -> int:
    fields = ["legal_hold", "legal_hold_until", "legal_hold_reason"]
    ReviewCase.objects.bulk_update(cases, fields, batch_size=500)
    one = len(cases) == 1
    ids = [case.pk for case in cases]
    trail.record(
        by=by.name,
        verb=f"case.legal_hold_{verb}",
        subject=cases[0] if one else ReviewCase,
        before=before[0] if one else {str(pk): was for pk, was in zip(ids, before, strict=True)},
        after=_facts(cases[0]) if one else {**_facts(cases[0]), **trail.named(ids)},
        count=len(cases),
        reason=reason,
    )
    return len(cases)
