"""New items into rows and files: each succeeds or fails alone, all are one command."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from gallery.items.file_storage import undo_files
from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor
from moderation.audit import trail
from moderation.lists import lists
from moderation.lists.entries import Entry
from moderation.lists.models import (
    BannedFingerprint,
    BannedHash,
    BannedItem,
    BannedList,
)

FACTS = (
    "source", "source_id", "category", "severity", "owner", "tags", "note", "updated_at",
    "expires_at", "feedback", "media",
)  # fmt: skip
"""What can be said of an item beside what it looks like."""


@dataclass(frozen=True)
class Added:
    """``items`` in the order given, without those in ``refused``: position → why."""

    items: list[BannedItem]
    refused: dict[int, UserError] = field(default_factory=dict)


def add(*, by: Actor, list_id: int, made: Sequence[Entry | UserError], reason: str) -> Added:
    """Store what could be read, in one transaction with one event. Raises ``NotFound``."""
    with undo_files() as files, transaction.atomic():
        row = lists.locked(list_id)
        lists.check_may_add(by, row)
        added = Added([])
        for position, entry in enumerate(made):
            try:
                if isinstance(entry, UserError):
                    raise entry
                with transaction.atomic():
                    added.items.append(_store(row, entry, files, by=by))
            except UserError as error:
                added.refused[position] = error
        if added.items:
            lists.touch([row.pk])
            _scan(row, added.items, by=by)
            _record(row, added.items, by=by, reason=reason)
    return added


def _store(row: BannedList, entry: Entry, files: undo_files, *, by: Actor) -> BannedItem:
    if unknown := entry.facts.keys() - set(FACTS):
        raise TypeError(f"an item has no {', '.join(sorted(unknown))}")
    # Read anew, with the list's row locked: it may have become hash-only since.
    entry = entry.without_media() if row.hash_only else entry
    _refuse_known(row, entry)
    item = BannedItem(list=row, media=entry.media, added_by=by.name, **entry.facts)
    try:
        item.clean_fields()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise UserError(messages[0], field=name) from error
    _refuse_source(item)
    if entry.picture:
        exact = next(one.value for one in entry.hashes if one.kind == "sha256")
        name = f"banned/{exact[:2]}/{exact}-{secrets.token_hex(4)}.jpg"
        item.picture = files.add(default_storage.save(name, ContentFile(entry.picture)))
    item.save(force_insert=True)
    BannedHash.objects.bulk_create(
        BannedHash(
            item=item, kind=one.kind, value=one.value, quality=one.quality, time_ms=one.time_ms
        )
        for one in entry.hashes
    )
    for vector in entry.vectors:
        vector.item = item
    BannedFingerprint.objects.bulk_create(entry.vectors, batch_size=200)
    return item


def _refuse_known(row: BannedList, entry: Entry) -> None:
    """Raises ``Conflict`` for an entry whose hashes one item of the list has all."""
    wanted = {(one.kind, one.value) for one in entry.hashes}
    known: dict[int, set[tuple[str, str]]] = {}
    same = BannedHash.objects.valued({value for _, value in wanted}).filter(item__list=row)
    for item_id, kind, value in same.values_list("item", "kind", "value"):
        known.setdefault(item_id, set()).add((kind, value))
    for item_id, has in known.items():
        if wanted <= has:
            raise Conflict(
                f"This is on the list {row.name} already, as item {item_id}.", existing_id=item_id
            )


def _refuse_source(item: BannedItem) -> None:
    same = BannedItem.objects.filter(
        list=item.list, source=item.source, source_id=item.source_id
    ).first()
    if item.source_id and same is not None:
        raise Conflict(
            f"The list has the entry {item.source_id} of {item.source or 'no source'} already, as "
            f"item {same.pk}.",
            existing_id=same.pk,
            field="source_id",
        )


def _scan(row: BannedList, items: Sequence[BannedItem], *, by: Actor) -> None:
    if len(items) == 1:
        lists.scan(row, by=by, item_id=items[0].pk, reason="item added")
    else:
        lists.scan(row, by=by, after_item=items[0].pk - 1, reason=f"{len(items)} items added")


def _record(row: BannedList, items: Sequence[BannedItem], *, by: Actor, reason: str) -> None:
    values = BannedHash.objects.filter(item__in=items).order_by("item", "kind", "value")
    names = [f"{kind}:{value}" for kind, value in values.values_list("kind", "value")]
    after: dict[str, Any] = {"list": row.pk, "list_name": row.name}
    if len(items) == 1:
        after |= {"source": items[0].source, "source_id": items[0].source_id, "hashes": names[:20]}
    else:
        after |= {"first": items[0].pk, "last": items[-1].pk}
    after["digest"] = hashlib.sha256("\n".join(names).encode()).hexdigest()
    trail.record(
        by=by.name,
        verb="item.added" if len(items) == 1 else "items.added",
        subject=items[0] if len(items) == 1 else BannedItem,
        after=after,
        count=len(items),
        reason=reason,
    )
