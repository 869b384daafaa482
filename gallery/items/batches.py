"""Quarantining and releasing many items as one batch, which can be undone as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery.items import changing, retention
from gallery.items.item import Item, Status
from gallery.items.models import Image, ItemBatch
from gallery.items.retention import Act, Why
from gallery.shared.errors import Conflict, NotFound, UserError
from gallery.shared.locking import locked

BEFORE: Final = {Status.QUARANTINED: Status.READY, Status.READY: Status.QUARANTINED}
"""What an item must be to become the other."""


@dataclass(frozen=True)
class Kind:
    """A kind of item, and the services that move it. ``argument``: what they call the rows."""

    model: type[Item]
    argument: str
    services: Mapping[Status, Callable[..., int]]

    @property
    def name(self) -> str:
        """As batches have it."""
        return str(self.model._meta.model_name)

    def rows(self, ids: list[int]) -> QuerySet[Any]:
        """The items with these ids."""
        return self.model._default_manager.filter(pk__in=ids)


IMAGES: Final = Kind(
    Image,
    "images",
    {
        Status.QUARANTINED: changing.quarantine_images,
        Status.READY: changing.release_images,
    },
)


@dataclass(frozen=True)
class Undoing:
    """``ids`` become ``back`` again. ``changed``: what else became of an item since → those it is
    true of; ``withheld`` may not be released. Both stay as they are."""

    back: Status
    ids: list[int]
    changed: Mapping[str, list[int]]
    withheld: Mapping[int, Why]


@transaction.atomic
def move(
    *,
    kind: Kind,
    to: Status,
    items: QuerySet[Any],
    by: str,
    reason: str,
    override: bool = False,
) -> ItemBatch:
    """Quarantine (``to``) what is ready, or release what is quarantined, of ``items``.

    Raises ``Withheld`` as releasing does.
    """
    ids = [row.pk for row in locked(items.filter(status=BEFORE[to]).only("pk"), no_key=True)]
    batch = ItemBatch.objects.create(kind=kind.name, status=to, by=by, reason=reason, ids=ids)
    more = {"override": override} if to == Status.READY else {}
    _run(kind, to, ids, by=by, reason=reason, batch=batch.pk, **more)
    return batch


@transaction.atomic
def undo(*, kind: Kind, batch_id: int, by: str, reason: str) -> Undoing:
    """Put back what a batch moved and nobody has moved since.

    Raises ``NotFound``, and ``Conflict`` if it was undone already or nothing is left to undo.
    """
    if not reason:
        raise UserError("Say why it is undone.", field="reason")
    batch = ItemBatch.objects.select_for_update().filter(pk=batch_id, kind=kind.name).first()
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.")
    if batch.undone_at is not None:
        raise Conflict(f"Batch {batch_id} was undone already.")
    rows = locked(kind.rows(batch.ids).only("pk", "status"), no_key=True)
    found = _undoing(kind, batch, rows)
    if not found.ids:
        raise Conflict("Nothing is left to undo: all of it was changed since, or is withheld.")
    words = f"batch {batch_id} undone: {reason}"
    _run(kind, found.back, found.ids, by=by, reason=words, batch=batch_id)
    batch.undone_at, batch.undone_by = timezone.now(), by
    batch.save(update_fields=["undone_at", "undone_by"])
    return found


def undoing(kind: Kind, batch: ItemBatch) -> Undoing:
    """What ``undo`` would do at this moment."""
    return _undoing(kind, batch, kind.rows(batch.ids).only("pk", "status").order_by("pk"))


def _undoing(kind: Kind, batch: ItemBatch, rows: Iterable[Item]) -> Undoing:
    back, there = BEFORE[Status(batch.status)], list(rows)
    changed: defaultdict[str, list[int]] = defaultdict(list)
    for row in there:
        if row.status != batch.status:
            changed[f"it is {row.status} now"].append(row.pk)
    if gone := sorted(set(batch.ids) - {row.pk for row in there}):
        changed["it was deleted since"] = gone
    same = [row for row in there if row.status == batch.status]
    kept = retention.withheld(kind.model, same, Act.RELEASE) if back == Status.READY else {}
    return Undoing(back, [row.pk for row in same if row.pk not in kept], dict(changed), kept)


def _run(kind: Kind, to: Status, ids: list[int], **fields: Any) -> None:
    kind.services[to](**{kind.argument: kind.rows(ids)}, **fields)
