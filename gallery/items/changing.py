"""Change stored items: edit fields, quarantine, release, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from gallery.items import retention
from gallery.items.file_storage import delete_after_commit, file_names
from gallery.items.item import Item, ItemT, Status
from gallery.items.kinds import kind_of
from gallery.items.originals import forget_original
from gallery.items.retention import Act
from gallery.items.signals import batch_notifications, notify_changed
from gallery.shared.errors import NotFound
from gallery.shared.locking import locked


@transaction.atomic
def update_item(*, model: type[ItemT], item_id: int, fields: Mapping[str, Any], by: str) -> ItemT:
    """Set data_id, remark or meta. Raises ``NotFound``."""
    rows: QuerySet[ItemT] = model._default_manager.select_for_update()
    item = rows.filter(pk=item_id).first()
    if item is None:
        raise NotFound(f"There is no {kind_of(model).name} {item_id}.")
    before = {name: getattr(item, name) for name in fields}
    for name, value in fields.items():
        setattr(item, name, value)
    item.save(update_fields=list(fields))
    notify_changed(by=by, verb="updated", row=item, before=before, after=dict(fields))
    return item


@transaction.atomic
@batch_notifications()
def delete_items(
    *, items: QuerySet[ItemT], by: str, reason: str = "", override: bool = False
) -> int:
    """Delete rows, vectors and files for good, even of pending items. Return how many.

    ``override`` deletes withheld items too and needs a reason. Without it, raises ``Withheld``
    and deletes nothing if any item is withheld.
    """
    rows = locked(items)
    retention.check(items.model, rows, Act.DELETE, by=by, reason=reason, override=override)
    for item in rows:
        delete_after_commit(file_names(item))
        notify_changed(by=by, verb="deleted", row=item, before=item.status, reason=reason)
    ids = [item.pk for item in rows]
    kind = kind_of(items.model)
    kind.lock_dependents(ids)
    kind.rows(ids).delete()
    return len(rows)


@transaction.atomic
@batch_notifications()
def quarantine_items(
    *, items: QuerySet[ItemT], by: str, reason: str = "", batch: int | None = None
) -> int:
    """Hide ready items from all searches. Return how many."""
    rows = locked(items.filter(status=Status.READY), no_key=True)
    return _move(items.model, rows, Status.QUARANTINED, "quarantined", by, reason, batch)


@transaction.atomic
@batch_notifications()
def release_items(
    *,
    items: QuerySet[ItemT],
    by: str,
    reason: str = "",
    override: bool = False,
    batch: int | None = None,
) -> int:
    """Make quarantined items searchable again. Return how many.

    ``override`` releases withheld items too and needs a reason. Without it, raises ``Withheld``
    and releases nothing if any item is withheld.
    """
    rows = locked(items.filter(status=Status.QUARANTINED), no_key=True)
    retention.check(items.model, rows, Act.RELEASE, by=by, reason=reason, override=override)
    return _move(items.model, rows, Status.READY, "released", by, reason, batch)


def _move(
    model: type[Item],
    rows: Sequence[Item],
    status: Status,
    verb: str,
    by: str,
    reason: str,
    batch: int | None,
) -> int:
    for item in rows:
        before, lease = item.status, item.claimed_until
        item.move_to(status)
        # Keep the lease: a worker may be reindexing the item now.
        item.claimed_until = lease
        if status == Status.READY:
            forget_original(item)
        notify_changed(
            by=by, verb=verb, row=item, before=before, after=status, reason=reason, batch=batch
        )
    changed = ["status", "failure", "original", "quarantined_at"]
    model._default_manager.bulk_update(rows, changed, batch_size=1000)
    return len(rows)
