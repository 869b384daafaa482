"""Which original files are kept, and for how long."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from gallery.items.file_storage import delete_after_commit
from gallery.items.item import Item, Status
from gallery.items.kinds import kind_of, kinds
from gallery.items.retention import may_forget


def keeps_original(model: type[Item], *, fetched: bool) -> bool:
    """Return whether the setting of its kind (``all``, ``uploads``, ``none``) keeps the original.

    ``fetched``: the bytes come from a link.
    """
    kept = getattr(settings, kind_of(model).keep_setting)
    return bool(kept == "all" or (kept == "uploads" and not fetched))


def forget_original(item: Item) -> None:
    """Clear ``original`` of a locked row, in memory, if the file is neither kept nor needed.

    The file is deleted when the transaction commits. The caller saves the row.
    """
    spare = item.original and not item.keep_original
    if spare and not kind_of(item).needs_original(item) and may_forget(item):
        delete_after_commit([item.original.name])
        item.original = ""


def forget_originals() -> int:
    count = 0
    for kind in kinds().values():
        rows = kind.model._default_manager.filter(status=Status.READY, keep_original=False)
        spare = rows.exclude(original="").order_by("pk")
        for pk in spare.values_list("pk", flat=True).iterator():
            with transaction.atomic():
                item = spare.filter(pk=pk).select_for_update(no_key=True).first()
                if item is not None:
                    forget_original(item)
                    item.save(update_fields=["original"])
                    count += not item.original
    return count
