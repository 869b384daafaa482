"""Locks of cases: who is working on which case, and who else has it open. A lock lasts ten minutes,
and an open page renews it. The database and the API call it a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.errors import Conflict
from moderation.access.permissions import Actor, can, check, person
from moderation.access.words import word
from moderation.cases import queue
from moderation.cases.models import CaseView, ReviewCase
from moderation.cases.permissions import decidable, locked_by_others
from moderation.cases.queue import Filters

LOCK_DURATION: Final = timedelta(minutes=10)
PRESENCE_TIMEOUT: Final = timedelta(seconds=45)
"""How long an open page counts after its last report. It reports every 15 s."""


@dataclass(frozen=True)
class Presence:
    """``holder``: who is working on the case, "" for nobody. ``mine``: the holder is the caller.
    ``others``: who else has the case open."""

    holder: str
    mine: bool
    until: datetime | None
    others: Sequence[str]


@transaction.atomic
def lock(*, by: Actor, case_id: int, take_over: bool = False) -> ReviewCase:
    """Lock an undecided case and its cluster for the caller, or renew the lock.

    ``take_over``: also if another person holds it. Raise ``NotAllowed``, ``NotFound``,
    ``Conflict``.
    """
    check(by, "decide cases")
    person(by)
    case = _row(case_id)
    if case.decided_at is not None:
        raise Conflict(
            gettext("Case %(number)s is %(state)s already.")
            % {"number": case_id, "state": word(case.state)}
        )
    if (holder := other_holder(case, by)) and not take_over:
        raise Conflict(
            gettext("%(person)s is working on case %(number)s.")
            % {"person": holder, "number": case_id}
        )
    _lock(case, by, take_over=take_over)
    return case


@transaction.atomic
def lock_next(
    *,
    by: Actor,
    filters: Filters,
    skipped: Sequence[int] = (),
    but: int | None = None,
    first: int | None = None,
) -> ReviewCase | None:
    """Lock and return the first case that the caller may decide. None if there is none.

    ``skipped``: cases that come last, with their clusters. ``but``: a case that is left out, with
    its cluster. ``first``: a case that comes before all others, if it is among them. Rows that
    another transaction has locked are skipped, not waited for.
    """
    check(by, "decide cases")
    person(by)
    free = decidable(queue.cases(filters, by), by)
    if but is not None:
        free = _without(free, [but])
    case = None
    if first is not None:
        rows = free.select_for_update(skip_locked=True, of=("self",))
        case = _without(rows, skipped).filter(pk=first).first()
    if case is None:
        case = _first(_without(free, skipped))
    if case is None and skipped:
        case = _first(free)
    if case is not None:
        _lock(case, by)
    return case


@transaction.atomic
def unlock(*, by: Actor, case_id: int) -> None:
    """Remove the caller's locks of the case and its cluster, if any."""
    check(by, "decide cases")
    case = _row(case_id)
    # Skip rows that another transaction has locked. It may be a decision that has locked others of
    # the cluster and waits for this row: waiting would deadlock. A decision ends the locks itself.
    mine = ReviewCase.objects.select_for_update(skip_locked=True).filter(
        cluster=case.cluster, claimed_by=person(by)
    )
    ids = list(mine.values_list("pk", flat=True))
    ReviewCase.objects.filter(pk__in=ids).update(claimed_by=None, claimed_until=None)
    CaseView.objects.filter(case=case, user=by.user).delete()


@transaction.atomic
def report_presence(*, by: Actor, case_id: int) -> Presence:
    """Report that the caller has the case open. Return who is there.

    Renews the caller's lock, or takes a free one if the caller may decide cases. Raise
    ``NotAllowed``, ``NotFound``.
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
    """Return the name of another person who holds the lock, or ""."""
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
    # Only the first of each cluster: two people with two cases of one cluster would deadlock.
    return queue.heads(found).select_for_update(skip_locked=True, of=("self",)).first()


def _lock(case: ReviewCase, by: Actor, *, take_over: bool = False) -> None:
    """The caller has locked the row of ``case``. Cases of its cluster that others hold stay so."""
    until = timezone.now() + LOCK_DURATION
    wanted = queue.siblings(case).select_for_update(skip_locked=True)
    if not take_over:
        wanted = wanted.exclude(locked_by_others(by))
    ids = {case.pk, *wanted.values_list("pk", flat=True)}
    ReviewCase.objects.filter(pk__in=ids).update(claimed_by=by.user, claimed_until=until)
    case.claimed_by, case.claimed_until = by.user, until
