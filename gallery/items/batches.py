"""Quarantine or release many items as one batch, which can be undone as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery.items import retention
from gallery.items.changing import quarantine_items, release_items
from gallery.items.item import Item, Status
from gallery.items.kinds import ItemKind, kind_of
from gallery.items.models import ItemBatch
from gallery.items.retention import Act, WithheldReason
from gallery.shared.errors import Conflict, NotFound, UserError
from gallery.shared.locking import locked

OPPOSITE: Final = {Status.QUARANTINED: Status.READY, Status.READY: Status.QUARANTINED}
"""New status → the status that an item must have before."""


@dataclass(frozen=True)
class UndoPlan:
    """What undoing a batch does: the items ``ids`` get the status ``back`` again.

    ``changed``: reason → items that were changed or deleted since. ``withheld``: items that must
    not be released.
    """

    back: Status
    ids: list[int]
    changed: Mapping[str, list[int]]
    withheld: Mapping[int, WithheldReason]


@transaction.atomic
def move(
    *, to: Status, items: QuerySet[Any], by: str, reason: str, override: bool = False
) -> ItemBatch:
    """Quarantine the ready ones of ``items``, or release the quarantined ones, depending on ``to``.

    Raises ``Withheld`` if an item must not be released.
    """
    kind = kind_of(items.model)
    ids = [row.pk for row in locked(items.filter(status=OPPOSITE[to]).only("pk"), no_key=True)]
    batch = ItemBatch.objects.create(kind=kind.name, status=to, by=by, reason=reason, ids=ids)
    _run(kind.rows(ids), to, by, reason, batch, override=override)
    return batch


@transaction.atomic
def undo(*, kind: ItemKind, batch_id: int, by: str, reason: str) -> UndoPlan:
    """Restore the status of the batch's items that nobody has changed since.

    Raises ``NotFound``, and ``Conflict`` if the batch was undone already or nothing is left to
    undo.
    """
    if not reason:
        raise UserError("Give a reason for undoing it.", field="reason")
    batch = ItemBatch.objects.select_for_update().filter(pk=batch_id, kind=kind.name).first()
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.")
    if batch.undone_at is not None:
        raise Conflict(f"Batch {batch_id} was undone already.")
    rows = locked(kind.rows(batch.ids).only("pk", "status", "media_deleted_at"), no_key=True)
    plan = _plan(kind, batch, rows)
    if not plan.ids:
        raise Conflict("Nothing is left to undo: all of it was changed since, or is withheld.")
    _run(kind.rows(plan.ids), plan.back, by, f"batch {batch_id} undone: {reason}", batch)
    batch.undone_at, batch.undone_by = timezone.now(), by
    batch.save(update_fields=["undone_at", "undone_by"])
    return plan


def plan_undo(kind: ItemKind, batch: ItemBatch) -> UndoPlan:
    rows = kind.rows(batch.ids).only("pk", "status", "media_deleted_at")
    return _plan(kind, batch, rows.order_by("pk"))


def _plan(kind: ItemKind, batch: ItemBatch, rows: Iterable[Item]) -> UndoPlan:
    back, there = OPPOSITE[Status(batch.status)], list(rows)
    changed: defaultdict[str, list[int]] = defaultdict(list)
    for row in there:
        if row.status != batch.status:
            changed[f"it is {row.status} now"].append(row.pk)
    if gone := sorted(set(batch.ids) - {row.pk for row in there}):
        changed["it was deleted since"] = gone
    same = [row for row in there if row.status == batch.status]
    kept = retention.withheld(kind.model, same, Act.RELEASE) if back == Status.READY else {}
    return UndoPlan(back, [row.pk for row in same if row.pk not in kept], dict(changed), kept)


def _run(
    items: QuerySet[Any],
    to: Status,
    by: str,
    reason: str,
    batch: ItemBatch,
    *,
    override: bool = False,
) -> None:
    if to == Status.READY:
        release_items(items=items, by=by, reason=reason, batch=batch.pk, override=override)
    else:
        quarantine_items(items=items, by=by, reason=reason, batch=batch.pk)
