"""Insert a row for bytes that may be stored already or have failed before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from django.db import IntegrityError, transaction

from gallery.items import file_storage
from gallery.items.item import Item, ItemT, Status
from gallery.items.kinds import kind_of
from gallery.items.originals import keeps_original
from gallery.items.preprocessing import Hashes
from gallery.shared.errors import Conflict


class AlreadyStored(Conflict):
    """The same bytes are stored already, as the item ``existing_id``."""

    code = "exists"

    def __init__(self, model: type[Item], existing_id: int) -> None:
        kind = kind_of(model)
        super().__init__(
            f"The same {kind.contents} is already here: it is {kind.name} {existing_id}.",
            existing_id=existing_id,
        )


class ItemFields(TypedDict, total=False):
    """What the sender says about an item. ``client`` is the sender's ``Access.probes_as``."""

    data_id: str | None
    remark: str | None
    meta: Mapping[str, Any] | None
    uploader: str | None
    client: str


def new_item(
    model: type[ItemT],
    hashes: Hashes,
    fields: Mapping[str, Any],
    *,
    by: str,
    fetched: bool,
    **facts: Any,
) -> ItemT:
    """Return an unsaved row. ``facts``: format, width, height, bytes and its kind's own fields."""
    keep = keeps_original(model, fetched=fetched)
    return model(added_by=by, keep_original=keep, **vars(hashes), **facts, **fields)


def refuse_existing(model: type[Item], md5: str) -> None:
    """Raise ``AlreadyStored`` for bytes that are stored and have not failed."""
    rows: Any = model._default_manager
    same = rows.filter(md5=md5).exclude(status=Status.FAILED)
    # Unordered: to find the newest one, PostgreSQL may scan all rows from the end.
    for existing_id in same.order_by().values_list("id", flat=True):
        raise AlreadyStored(model, existing_id)


def insert(item: Item) -> None:
    """Insert the row, or replace a failed row of the same bytes. Raises ``AlreadyStored``."""
    rows: Any = type(item)._default_manager
    try:
        with transaction.atomic():
            item.save(force_insert=True)
    except IntegrityError:
        row = rows.select_for_update().filter(md5=item.md5).first()
        if row is None:  # the other row was deleted in between
            item.save(force_insert=True)
            return
        if row.status != Status.FAILED:
            raise AlreadyStored(type(item), row.pk) from None
        row.move_to(Status.PENDING)
        file_storage.delete_after_commit(file_storage.file_names(row))
        item.pk, item.created_at = row.pk, row.created_at
        item.save(force_update=True)
