"""Undo an import: its items are retired, and the items that it retired match again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role, check
from moderation.audit import trail
from moderation.imports.models import ListImport
from moderation.imports.sql import RETIRED_BY_SOURCE
from moderation.lists import list_writes, rescans, weakening
from moderation.lists.models import BannedHash, BannedItem

UNDOABLE_FOR: Final = timedelta(days=30)

_ACTIVE, _RETIRED = BannedItem.State.ACTIVE, BannedItem.State.RETIRED


def is_undoable(row: ListImport) -> bool:
    return bool(
        row.state == ListImport.State.DONE
        and row.applied_at
        and not row.undone_at
        and row.applied_at > timezone.now() - UNDOABLE_FOR
    )


@transaction.atomic
def undo(*, by: Actor, import_id: int, reason: str) -> ListImport:
    """Retire what an import added or made active again, match again what it retired, and delete
    the hashes that it gave to other items.

    What somebody changed since stays, and so do other facts that the import changed, such as tags.
    Raises ``NotAllowed``, ``NotFound``, ``Conflict``, and ``UserError`` without a reason.
    """
    check(by, "import lists")
    if not reason.strip():
        raise UserError("Give a reason for undoing.", field="reason")
    row = ListImport.objects.select_related("list").filter(pk=import_id).first()
    if row is None:
        raise NotFound(f"There is no import {import_id}.")
    list_writes.lock([row.list_id])
    row = ListImport.objects.select_for_update(of=("self",)).select_related("list").get(pk=row.pk)
    at, tx = row.applied_at, row.applied_tx
    if not is_undoable(row) or at is None or tx is None:
        raise Conflict(
            f"Import {import_id} cannot be undone: only one that was applied within the last "
            f"{UNDOABLE_FOR.days} days can, and once."
        )
    added, retired, fresh = _added(row, at), _retired(row, at), _fresh_hashes(row, at, tx)
    retired_ids = sorted(retired.values_list("pk", flat=True))
    weakens = retired_ids if row.list.is_allow_list else added.exists() or fresh.exists()
    if weakens and weakening.is_critical(row.list):
        _check_may_weaken(by)
    if row.list.is_allow_list:
        rescans.screen_allowed(added)
    gone = added.update(
        state=_RETIRED, retired_at=timezone.now(), retired_because=f"import {row.pk} was undone"
    )
    hashes = fresh.delete()[0]
    retired.update(state=_ACTIVE, retired_at=None, retired_because="")
    list_writes.touch([row.list_id])
    if retired_ids:
        list_writes.scan(
            row.list, by=by, reason=f"import {row.pk} undone", after_item=retired_ids[0] - 1
        )
    row.undone_at, row.undone_by = timezone.now(), by.name
    row.save(update_fields=["undone_at", "undone_by"])
    trail.record(
        by=by.name,
        verb="import.undone",
        subject=row,
        after={
            "list": row.list_id,
            "retired": gone,
            "active_again": len(retired_ids),
            "hashes_deleted": hashes,
        },
        count=gone + len(retired_ids),
        reason=reason,
    )
    return row


def _check_may_weaken(by: Actor) -> None:
    if by.via_key or by.role < Role.ADMIN:
        raise NotAllowed("This weakens a critical list: an admin must undo it in person.")


def _added(row: ListImport, at: datetime) -> QuerySet[BannedItem]:
    mine = BannedItem.objects.filter(list=row.list_id, state=_ACTIVE)
    return mine.filter(created_at=at) | mine.filter(pk__in=row.reactivated)


def _retired(row: ListImport, at: datetime) -> QuerySet[BannedItem]:
    return BannedItem.objects.filter(
        list=row.list_id,
        state=_RETIRED,
        retired_at=at,
        retired_because__in=RETIRED_BY_SOURCE,
    )


def _fresh_hashes(row: ListImport, at: datetime, tx: int) -> QuerySet[BannedHash]:
    """The hashes that the import gave to items that were there before."""
    return BannedHash.objects.filter(item__list=row.list_id, item__created_at__lt=at, tx=tx)
