"""Delete the files of items that were quarantined long ago. Rows, hashes and vectors stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery.items.file_storage import delete_after_commit, file_fields, file_names
from gallery.items.item import Item, Status
from gallery.items.kinds import ItemKind, kinds
from gallery.items.retention import Act, withheld
from gallery.items.signals import files_deleted, notify_changed

WORKER: Final = "worker"


def delete_expired_media() -> int:
    """Delete what is due by ``QUARANTINE_DAYS`` and not withheld. Return the number of items."""
    if not settings.QUARANTINE_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.QUARANTINE_DAYS)
    return sum(
        _delete(kind, pk, before)
        for kind in kinds().values()
        for pk in _due(kind, before).order_by("pk").values_list("pk", flat=True)
    )


def _due(kind: ItemKind, before: datetime) -> QuerySet[Any]:
    rows = kind.model._default_manager.filter(status=Status.QUARANTINED)
    return rows.filter(quarantined_at__lt=before, media_deleted_at=None)


@transaction.atomic
def _delete(kind: ItemKind, pk: int, before: datetime) -> bool:
    """Return False for an item that is withheld, or was changed in the meantime."""
    item = _due(kind, before).filter(pk=pk).select_for_update(no_key=True).first()
    if item is None or withheld(kind.model, [item], Act.EXPIRE):
        return False
    delete_after_commit(file_names(item))
    columns = file_fields(item)
    for column in columns:
        setattr(item, column, "")
    kind.forget_details(pk)
    item.media_deleted_at = timezone.now()
    item.save(update_fields=[*columns, "media_deleted_at"])
    files_deleted.send(sender=kind.model, rows=[item], by=WORKER)
    notify_changed(
        by=WORKER,
        verb="files deleted",
        row=item,
        before=item.quarantined_at,
        after=item.media_deleted_at,
        reason=f"QUARANTINE_DAYS={settings.QUARANTINE_DAYS}",
    )
    return True


def fate_of_files(item: Item, *, with_cases: bool) -> str:
    """Return what becomes of the files of a quarantined item; "" for another item.

    ``with_cases``: also say which case keeps them.
    """
    if item.media_deleted_at is not None:
        return f"Deleted on {item.media_deleted_at:%Y-%m-%d}. Hashes and vectors are kept."
    if item.quarantined_at is None:
        return ""
    since = f"Quarantined on {item.quarantined_at:%Y-%m-%d}."
    if not settings.QUARANTINE_DAYS:
        return f"{since} The files are kept: QUARANTINE_DAYS is 0."
    due = item.quarantined_at + timedelta(days=settings.QUARANTINE_DAYS)
    if kept := withheld(type(item), [item], Act.EXPIRE):
        why = kept[item.pk].text if with_cases else "moderators withhold them"
        return f"{since} The files are due on {due:%Y-%m-%d}, but kept: {why}."
    return f"{since} The files will be deleted on {due:%Y-%m-%d}; hashes and vectors are kept."
