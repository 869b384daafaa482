"""Taking a batch of decisions back, with all that followed from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from gallery.errors import Conflict, NotFound
from gallery.items import Status
from moderation.models import Decision, DecisionBatch, ReviewCase
from moderation.permissions import Actor, check
from moderation.services import audit, consequences, telling
from moderation.services.case_locks import locked_cases
from moderation.services.consequences import Subject
from moderation.services.decisions import person


@dataclass(frozen=True)
class Undone:
    """``undone`` cases are as they were; ``left`` were changed since and stay as they are."""

    batch: DecisionBatch
    undone: Sequence[int]
    left: Sequence[int]


def words(done: Undone) -> str:
    """What became of it, as a sentence or two."""
    count, left = len(done.undone), len(done.left)
    text = f"Batch {done.batch.pk} undone: {count} case{'' if count == 1 else 's'}."
    return f"{text} {left} left alone, as they were changed since." if left else text


@transaction.atomic
def undo_batch(*, by: Actor, batch_id: int, reason: str = "") -> Undone:
    """Restore states, what was hidden or released, and allow entries; tell whoever was told.

    One's own batches take a moderator, those of others a lead. A case that somebody has decided
    or appealed since is left alone, as is an upload whose status was changed since. Raises
    ``NotAllowed``, ``NotFound``, and ``Conflict`` if the batch is undone already, or if all of it
    was changed since.
    """
    check(by, "decide cases")
    user = person(by)
    batch = DecisionBatch.objects.select_for_update().filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.", field="batch")
    if batch.by_id != user.pk:
        check(by, "undo the decisions of others")
    if batch.undone_at is not None:
        raise Conflict(f"Batch {batch_id} was undone already.")
    rows = batch.decisions.filter(undone_at=None, blind_review=False)
    case_ids = list(rows.values_list("case", flat=True))
    locked_cases(case_ids)
    decisions = list(rows.select_related("case", "batch").order_by("pk"))
    changed = _changed_since(decisions)
    doomed = [decision for decision in decisions if decision.case_id not in changed]
    if not doomed:
        raise Conflict("Nothing is left to undo: all its cases were decided again since.")
    moved, withdrawn = _restore(doomed, by)
    now = timezone.now()
    Decision.objects.filter(pk__in=[one.pk for one in doomed]).update(undone_at=now)
    batch.undone_at, batch.undone_by = now, user
    batch.save(update_fields=["undone_at", "undone_by"])
    telling.reversals(doomed)
    undone = [one.case_id for one in doomed]
    audit.record(
        by=by.name,
        verb="case.undone",
        subject=batch,
        before={"states": sorted({one.state_after for one in doomed})},
        after={
            "states": sorted({one.state_before for one in doomed}),
            "cases": undone,
            "left": sorted(changed),
            "moved": moved,
            "allow_items_withdrawn": withdrawn,
        },
        count=len(undone),
        reason=reason,
    )
    return Undone(batch, undone, sorted(changed))


def _changed_since(decisions: Sequence[Decision]) -> set[int]:
    """Cases that are elsewhere by now, or were decided again."""
    newest = {decision.case_id: decision.pk for decision in decisions}
    later = consequences.open_decisions(newest).values_list("case", "pk")
    changed = {case for case, pk in later if pk > newest[case]}
    return changed | {one.case_id for one in decisions if one.case.state != one.state_after}


def _restore(decisions: Sequence[Decision], by: Actor) -> tuple[int, int]:
    """Put back what the effects say. Answers how many subjects moved and entries were retired."""
    groups: dict[tuple[str, bool, str | None], list[int]] = {}
    for one in decisions:
        key = (one.state_before, bool(one.effects["held"]), one.effects.get("decided_at"))
        groups.setdefault(key, []).append(one.case_id)
    for (state, held, at), ids in groups.items():
        decided_at = parse_datetime(at) if at else None
        ReviewCase.objects.filter(pk__in=ids).update(state=state, held=held, decided_at=decided_at)
    hidden, freed = _moved(decisions, Status.QUARANTINED), _moved(decisions, Status.READY)
    moved = len(consequences.free(hidden, by)) + len(consequences.hide(freed, by))
    items = [one.effects["allow_item"] for one in decisions if "allow_item" in one.effects]
    withdrawn = consequences.withdraw(items, "the decision was undone") if items else 0
    return moved, withdrawn


def _moved(decisions: Sequence[Decision], to: Status) -> list[Subject]:
    """What the decisions had moved to that status."""
    found: list[Any] = [one.effects["subject"] for one in decisions if "subject" in one.effects]
    return [(kind, pk) for kind, pk, _, after in found if after == to]
