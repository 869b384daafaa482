"""Who is at which case: a claim for ten minutes that an open page renews, and who else looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from gallery.shared.errors import Conflict, NotFound
from moderation.access.permissions import Actor, can, check
from moderation.cases import queue
from moderation.cases.decision_permissions import held_by
from moderation.cases.decisions import person
from moderation.cases.models import CaseView, ReviewCase
from moderation.cases.queue import Filters

LASTS: Final = timedelta(minutes=10)
LOOKING: Final = timedelta(seconds=45)
"""How long after the page last said so somebody counts as looking: it says so every 15 s."""


@dataclass(frozen=True)
class Presence:
    """``holder``: who has claimed the case, "" if nobody; ``mine``: it is the one who asks.

    ``others``: who else has it open.
    """

    holder: str
    mine: bool
    until: datetime | None
    others: Sequence[str]


@transaction.atomic
def claim(*, by: Actor, case_id: int, take_over: bool = False) -> ReviewCase:
    """Claim an undecided case and its cluster, or renew that.

    ``take_over``: also if somebody else has it. Raises ``NotAllowed``, ``NotFound``, ``Conflict``.
    """
    check(by, "decide cases")
    person(by)
    case = _locked(case_id)
    if case.decided_at is not None:
        raise Conflict(f"Case {case_id} is {case.state} already.")
    if (holder := held_by(case, by)) and not take_over:
        raise Conflict(f"{holder} is at case {case_id}.")
    _claim(case, by, take_over=take_over)
    return case


@transaction.atomic
def claim_next(
    *, by: Actor, filters: Filters, skipped: Sequence[int] = (), but: int | None = None
) -> ReviewCase | None:
    """Claim the first case that this person may decide and nobody else has; None if none is left.

    ``skipped``: cases that come last, with their clusters; ``but``: one that does not come at all.
    Cases that somebody claims at this moment are passed over, not waited for.
    """
    check(by, "decide cases")
    person(by)
    free = queue.unclaimed(queue.decidable(queue.cases(filters, by), by), by)
    if but is not None:
        free = _without(free, [but])
    case = _first(_without(free, skipped))
    if case is None and skipped:
        case = _first(free)
    if case is not None:
        _claim(case, by)
    return case


@transaction.atomic
def release(*, by: Actor, case_id: int) -> None:
    """Give up one's claim on a case and its cluster; nothing happens if one has none."""
    check(by, "decide cases")
    case = _locked(case_id)
    # What somebody else has locked is left alone: a decision, which ends the claim itself, may
    # have locked others of the cluster and wait for this one.
    mine = ReviewCase.objects.select_for_update(skip_locked=True).filter(
        cluster=case.cluster, claimed_by=person(by)
    )
    ids = list(mine.values_list("pk", flat=True))
    ReviewCase.objects.filter(pk__in=ids).update(claimed_by=None, claimed_until=None)
    CaseView.objects.filter(case=case, user=by.user).delete()


@transaction.atomic
def look_in(*, by: Actor, case_id: int) -> Presence:
    """Say that one has the case open: renews one's claim, takes a free one, answers who is there.

    Somebody who may only view claims nothing. Raises ``NotAllowed``, ``NotFound``.
    """
    check(by, "view cases")
    user = person(by)
    case = _locked(case_id)
    now = timezone.now()
    CaseView.objects.update_or_create(case=case, user=user, defaults={"seen_at": now})
    if case.decided_at is None and not held_by(case, by) and can(by, "decide cases"):
        _claim(case, by)
    seen = CaseView.objects.filter(case=case, seen_at__gte=now - LOOKING).exclude(user=user)
    others = list(seen.order_by("user__username").values_list("user__username", flat=True))
    holder = held_by(case, by)
    mine = case.claimed_by_id == user.pk and case.claimed_until is not None
    until = case.claimed_until if holder or mine else None
    return Presence(user.get_username() if mine else holder, mine, until, others)


def _locked(case_id: int) -> ReviewCase:
    rows = ReviewCase.objects.select_for_update(of=("self",)).select_related("claimed_by")
    case = rows.filter(pk=case_id).first()
    if case is None:
        raise NotFound(f"There is no case {case_id}.", field="case")
    return case


def _without(found: queue.Cases, skipped: Sequence[int]) -> queue.Cases:
    if not skipped:
        return found
    clusters = ReviewCase.objects.filter(pk__in=skipped).values_list("cluster", flat=True)
    return found.exclude(cluster__in=list(clusters))


def _first(found: queue.Cases) -> ReviewCase | None:
    # Heads alone: two people who take two cases of one cluster would wait for one another.
    return queue.heads(found).select_for_update(skip_locked=True, of=("self",)).first()


def _claim(case: ReviewCase, by: Actor, *, take_over: bool = False) -> None:
    """``case`` is locked; of its cluster what others hold or have locked is left alone."""
    until = timezone.now() + LASTS
    wanted = queue.siblings(case).select_for_update(skip_locked=True)
    if not take_over:
        wanted = queue.unclaimed(wanted, by)
    ids = {case.pk, *wanted.values_list("pk", flat=True)}
    ReviewCase.objects.filter(pk__in=ids).update(claimed_by=by.user, claimed_until=until)
    case.claimed_by, case.claimed_until = by.user, until
