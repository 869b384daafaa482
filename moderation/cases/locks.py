"""Who is working on which case: a lock for ten minutes that an open page renews, and who else
looks. The database and the API call the lock a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from gallery.shared.errors import Conflict
from moderation.access.permissions import Actor, can, check, person
from moderation.cases import queue
from moderation.cases.models import CaseView, ReviewCase
from moderation.cases.permissions import decidable, locked_by_others
from moderation.cases.queue import Filters

LOCK_DURATION: Final = timedelta(minutes=10)
PRESENCE_TIMEOUT: Final = timedelta(seconds=45)
"""How long after its last report an open page counts: it reports every 15 s."""


@dataclass(frozen=True)
class Presence:
    """``holder``: who is working on the case, "" if nobody; ``mine``: it is the one who asks.

    ``others``: who else has it open.
    """

    holder: str
    mine: bool
    until: datetime | None
    others: Sequence[str]


@transaction.atomic
def lock(*, by: Actor, case_id: int, take_over: bool = False) -> ReviewCase:
    """Lock an undecided case and its cluster for this person, or renew the lock.

    ``take_over``: also if somebody else has it. Raises ``NotAllowed``, ``NotFound``, ``Conflict``.
    """
    check(by, "decide cases")
    person(by)
    case = _row(case_id)
    if case.decided_at is not None:
        raise Conflict(f"Case {case_id} is {case.state} already.")
    if (holder := other_holder(case, by)) and not take_over:
        raise Conflict(f"{holder} is working on case {case_id}.")
    _lock(case, by, take_over=take_over)
    return case


@transaction.atomic
def lock_next(
    *, by: Actor, filters: Filters, skipped: Sequence[int] = (), but: int | None = None
) -> ReviewCase | None:
    """Lock the first case that this person may decide; None if none is left.

    ``skipped``: cases that come last, with their clusters; ``but``: one that does not come at all.
    Cases that somebody locks at this moment are passed over, not waited for.
    """
    check(by, "decide cases")
    person(by)
    free = decidable(queue.cases(filters, by), by)
    if but is not None:
        free = _without(free, [but])
    case = _first(_without(free, skipped))
    if case is None and skipped:
        case = _first(free)
    if case is not None:
        _lock(case, by)
    return case


@transaction.atomic
def unlock(*, by: Actor, case_id: int) -> None:
    """Give up one's lock of a case and its cluster; nothing happens if one has none."""
    check(by, "decide cases")
    case = _row(case_id)
    # Rows that another transaction has locked are skipped: a decision, which ends the lock itself,
    # may have locked others of the cluster and wait for this one.
    mine = ReviewCase.objects.select_for_update(skip_locked=True).filter(
        cluster=case.cluster, claimed_by=person(by)
    )
    ids = list(mine.values_list("pk", flat=True))
    ReviewCase.objects.filter(pk__in=ids).update(claimed_by=None, claimed_until=None)
    CaseView.objects.filter(case=case, user=by.user).delete()


@transaction.atomic
def report_presence(*, by: Actor, case_id: int) -> Presence:
    """Report that one has the case open: renews one's lock or takes a free one. Answers who is
    there.

    Somebody who may only view locks nothing. Raises ``NotAllowed``, ``NotFound``.
    """
    check(by, "view cases")
    user = person(by)
    case = _row(case_id)
    now = timezone.now()
    CaseView.objects.update_or_create(case=case, user=user, defaults={"seen_at": now})
    if case.decided_at is None and not other_holder(case, by) and can(by, "decide cases"):
        _lock(case, by)
    views = CaseView.objects.filter(case=case, seen_at__gte=now - PRESENCE_TIMEOUT)
    others = views.exclude(user=user).order_by("user__username")
    holder = case.lock_holder
    return Presence(
        holder.get_username() if holder else "",
        holder == user,
        case.claimed_until if holder else None,
        list(others.values_list("user__username", flat=True)),
    )


def other_holder(case: ReviewCase, by: Actor) -> str:
    """Who else is working on the case; "" if nobody is."""
    holder = case.lock_holder
    return "" if holder is None or holder == by.user else holder.get_username()


def _row(case_id: int) -> ReviewCase:
    rows = ReviewCase.objects.select_for_update(of=("self",)).select_related("claimed_by")
    return rows.existing(case_id, "case")


def _without(found: queue.Cases, skipped: Sequence[int]) -> queue.Cases:
    if not skipped:
        return found
    clusters = ReviewCase.objects.filter(pk__in=skipped).values_list("cluster", flat=True)
    return found.exclude(cluster__in=list(clusters))


def _first(found: queue.Cases) -> ReviewCase | None:
    # Heads alone: two people who take two cases of one cluster would wait for one another.
    return queue.heads(found).select_for_update(skip_locked=True, of=("self",)).first()


def _lock(case: ReviewCase, by: Actor, *, take_over: bool = False) -> None:
    """``case`` is locked as a row; of its cluster what others hold is left alone."""
    until = timezone.now() + LOCK_DURATION
    wanted = queue.siblings(case).select_for_update(skip_locked=True)
    if not take_over:
        wanted = wanted.exclude(locked_by_others(by))
    ids = {case.pk, *wanted.values_list("pk", flat=True)}
    ReviewCase.objects.filter(pk__in=ids).update(claimed_by=by.user, claimed_until=until)
    case.claimed_by, case.claimed_until = by.user, until
