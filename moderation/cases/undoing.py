"""Undo batches of decisions, with all their effects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from gallery.items.item import Status
from gallery.items.kinds import kinds
from gallery.shared.errors import Conflict, NotFound, UserError
from gallery.shared.locking import locked
from moderation.access.permissions import Actor, check, person
from moderation.access.words import word
from moderation.audit import trail
from moderation.cases import enforcement, exchange_feedback, signals, webhook_events
from moderation.cases.enforcement import Subject
from moderation.cases.models import Decision, DecisionBatch, ReviewCase

UNDONE: Final = _("it was undone already.")
NOTHING: Final = _("Nothing to undo: all its cases were decided again since.")


@dataclass(frozen=True)
class Undone:
    """Ids of cases. ``left``: those that changed since, and stay."""

    batch: DecisionBatch
    undone: Sequence[int]
    left: Sequence[int]


def in_words(done: Undone) -> str:
    count, left = len(done.undone), len(done.left)
    text = ngettext(
        "Batch %(batch)s undone: %(count)s case.", "Batch %(batch)s undone: %(count)s cases.", count
    ) % {"batch": done.batch.pk, "count": count}
    if not left:
        return text
    return " ".join([text, gettext("%(left)s left, as changed since.") % {"left": left}])


@dataclass(frozen=True)
class UndoPlan:
    """What undoing some batches would do. ``to_undo``: the decisions, newest first.

    ``left``: case → why it stays. ``refused``: batch → why nothing of it can be undone. ``stay``:
    uploads whose status changed since, and stays.
    """

    to_undo: Sequence[Decision]
    left: Mapping[int, str]
    refused: Mapping[int, str]
    stay: Sequence[Subject]


def plan(*, by: Actor, batch_ids: Iterable[int]) -> UndoPlan:
    """Return what undoing would do now. Changes nothing. Raise ``NotAllowed``."""
    check(by, "decide cases")
    refused: dict[int, str] = {}
    wanted = list(DecisionBatch.objects.filter(pk__in=list(batch_ids)).order_by("-pk"))
    for batch in wanted:
        try:
            check_undoable(batch, by)
        except UserError as error:
            refused[batch.pk] = str(UNDONE) if batch.undone_at else error.message
    rows = _decisions(batch.pk for batch in wanted if batch.pk not in refused)
    left = _changed_since(rows)
    to_undo = [one for one in rows if one.pk not in left]
    some = {one.batch_id for one in to_undo}
    refused |= {one.batch_id: str(NOTHING) for one in rows if one.batch_id not in some}
    cases = {one.case_id: left[one.pk] for one in rows if one.pk in left}
    return UndoPlan(to_undo, cases, refused, _moved_since(to_undo))


def undo_batch(*, by: Actor, batch_id: int, reason: str) -> Undone:
    (done,) = undo_batches(by=by, batch_ids=[batch_id], reason=reason)
    return done


@transaction.atomic
def undo_batches(*, by: Actor, batch_ids: Collection[int], reason: str) -> list[Undone]:
    """Restore states, quarantined and released items, and allow entries; send reversal messages.

    Undoes all of the batches or none, the newest first. A case stays as it is if it was decided or
    appealed since; so does an upload whose status changed since. Raise ``NotAllowed``,
    ``NotFound``, and ``Conflict`` if a batch is already undone, or if all its cases changed since.
    """
    check(by, "decide cases")
    person(by)
    if not reason:
        raise UserError(gettext("Give a reason for undoing."), field="reason")
    batches = locked(DecisionBatch.objects.filter(pk__in=batch_ids))
    if missing := set(batch_ids) - {batch.pk for batch in batches}:
        raise NotFound(
            gettext("There is no batch %(number)s.") % {"number": min(missing)}, field="batch"
        )
    for batch in batches:
        check_undoable(batch, by)
    ReviewCase.objects.lock_with_content(one.case_id for one in _decisions(batch_ids))
    return [_undo(batch, by, reason) for batch in reversed(batches)]


def check_undoable(batch: DecisionBatch, by: Actor) -> None:
    """Raise ``NotAllowed``, or ``Conflict`` for a batch that was undone already.

    Moderators may undo their own batches. Leads may undo any.
    """
    check(by, "decide cases")
    if batch.by_id != person(by).pk:
        check(by, "undo the decisions of others")
    if batch.undone_at is not None:
        raise Conflict(gettext("Batch %(number)s was undone already.") % {"number": batch.pk})


def is_undoable(batch: DecisionBatch, by: Actor) -> bool:
    try:
        check_undoable(batch, by)
    except UserError:
        return False
    return True


def _decisions(batch_ids: Iterable[int]) -> list[Decision]:
    rows = Decision.objects.live().filter(batch__in=list(batch_ids))
    return list(rows.select_related("case", "batch").order_by("-pk"))


def _undo(batch: DecisionBatch, by: Actor, reason: str) -> Undone:
    decisions = _decisions([batch.pk])[::-1]
    left = _changed_since(decisions)
    to_undo = [one for one in decisions if one.pk not in left]
    if not to_undo:
        raise Conflict(str(NOTHING))
    moved, withdrawn = _restore(to_undo, by)
    now = timezone.now()
    Decision.objects.filter(pk__in=[one.pk for one in to_undo]).update(undone_at=now)
    batch.undone_at, batch.undone_by = now, person(by)
    batch.save(update_fields=["undone_at", "undone_by"])
    webhook_events.enqueue_reversals(to_undo)
    signals.undone.send(sender=Decision, decisions=to_undo)
    exchange_feedback.update(one.case_id for one in to_undo)
    undone = [one.case_id for one in to_undo]
    changed = sorted({one.case_id for one in decisions if one.pk in left})
    trail.record(
        by=by.name,
        verb="case.undone",
        subject=batch,
        before={"states": sorted({one.state_after for one in to_undo})},
        after={
            "states": sorted({one.state_before for one in to_undo}),
            "cases": undone,
            "left": changed,
            "moved": moved,
            "allow_items_withdrawn": withdrawn,
        },
        count=len(undone),
        reason=reason,
    )
    return Undone(batch, undone, changed)


def _changed_since(decisions: Sequence[Decision]) -> dict[int, str]:
    """Return decision → why it stays: its case has another state, or was decided again."""
    chosen = {one.pk for one in decisions}
    states = {one.case_id: one.case.state for one in decisions}
    later = Decision.objects.live().filter(case__in=states).order_by("-pk")
    left: dict[int, str] = {}
    closed: set[int] = set()
    for pk, case, before, after in later.values_list("pk", "case", "state_before", "state_after"):
        if pk not in chosen:
            closed.add(case)
        elif case in closed:
            left[pk] = gettext("it was decided again since")
        elif states[case] != after:
            left[pk] = gettext("it is %(state)s now") % {"state": word(states[case])}
            closed.add(case)
        else:
            states[case] = before
    return left


def _moved_since(decisions: Sequence[Decision]) -> list[Subject]:
    found: list[Subject] = []
    for kind in kinds().values():
        after = {
            one.effects["subject"][1]: one.effects["subject"][3]
            for one in decisions
            if one.effects.get("subject", [""])[0] == kind.name
        }
        there = dict(kind.rows(after).values_list("pk", "status"))
        found += [(kind.name, pk) for pk, status in after.items() if there.get(pk) != status]
    return found


def _restore(decisions: Sequence[Decision], by: Actor) -> tuple[int, int]:
    groups: dict[tuple[str, bool, str | None], list[int]] = {}
    for one in decisions:
        key = (one.state_before, bool(one.effects["held"]), one.effects.get("decided_at"))
        groups.setdefault(key, []).append(one.case_id)
    for (state, held, at), ids in groups.items():
        decided_at = parse_datetime(at) if at else None
        ReviewCase.objects.filter(pk__in=ids).update(state=state, held=held, decided_at=decided_at)
    quarantined, released = _moved(decisions, Status.QUARANTINED), _moved(decisions, Status.READY)
    moved = len(enforcement.release(quarantined, by)) + len(enforcement.quarantine(released, by))
    items = [one.effects["allow_item"] for one in decisions if "allow_item" in one.effects]
    withdrawn = enforcement.retire_allowed(items, "the decision was undone") if items else 0
    return moved, withdrawn


def _moved(decisions: Sequence[Decision], to: Status) -> list[Subject]:
    found: list[Any] = [one.effects["subject"] for one in decisions if "subject" in one.effects]
    return [(kind, pk) for kind, pk, _, after in found if after == to]
