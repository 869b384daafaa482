"""Quarantining and releasing many items as one batch, which can be undone as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery import retention
from gallery.errors import Conflict, NotFound
from gallery.items import Item, Status
from gallery.locking import locked
from gallery.models import Image, ItemBatch
from gallery.retention import Act, Why
from gallery.services import changing

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
class Undone:
    """``count`` items are as they were; ``changed`` were changed since, ``withheld`` may not be
    released: both stay as they are."""

    count: int
    changed: int
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
def undo(*, kind: Kind, batch_id: int, by: str, reason: str) -> Undone:
    """Put back what a batch moved and nobody has moved since.

    Raises ``NotFound``, and ``Conflict`` if it was undone already or nothing is left to undo.
    """
    batch = ItemBatch.objects.select_for_update().filter(pk=batch_id, kind=kind.name).first()
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.")
    if batch.undone_at is not None:
        raise Conflict(f"Batch {batch_id} was undone already.")
    back = BEFORE[Status(batch.status)]
    rows = locked(
        kind.rows(batch.ids).filter(status=batch.status).only("pk", "status"), no_key=True
    )
    kept = retention.withheld(kind.model, rows, Act.RELEASE) if back == Status.READY else {}
    ids = [row.pk for row in rows if row.pk not in kept]
    if not ids:
        raise Conflict("Nothing is left to undo: all of it was changed since, or is withheld.")
    words = f"batch {batch_id} undone: {reason}" if reason else f"batch {batch_id} undone"
    _run(kind, back, ids, by=by, reason=words, batch=batch_id)
    batch.undone_at, batch.undone_by = timezone.now(), by
    batch.save(update_fields=["undone_at", "undone_by"])
    return Undone(len(ids), len(batch.ids) - len(rows), kept)


def _run(kind: Kind, to: Status, ids: list[int], **fields: Any) -> None:
    kind.services[to](**{kind.argument: kind.rows(ids)}, **fields)
