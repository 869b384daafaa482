"""Decisions about a cluster of duplicates: delete or merge copies, or mark them as different.

Each decision is one transaction. It is refused if the cluster has changed since it was shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from gallery.duplicates.clusters import members_with
from gallery.items import changing
from gallery.items.models import Image, NotDuplicate
from gallery.items.signals import batch_notifications, notify_changed
from gallery.shared.errors import Conflict
from gallery.shared.locking import locked

MERGED = "merged"
"""Key in a kept image's meta: a list of the images merged into it, each an object with id, data_id,
url, remark, meta and md5."""


@transaction.atomic
def delete_copies(*, keep: int, copies: Iterable[int], by: str, reason: str = "") -> int:
    """Delete copies of an image for good. Return how many. Raises ``Conflict``, ``Withheld``."""
    _, rows = _locked(keep, copies)
    return _delete(rows, by, reason)


@transaction.atomic
def merge_copies(*, keep: int, copies: Iterable[int], by: str, reason: str = "") -> int:
    """Store the copies' data in the kept image's meta, then delete them for good. Return how many.

    Entries of earlier merges into a copy are kept too. Raises ``Conflict``, and ``Withheld`` if
    a copy is withheld.
    """
    kept, rows = _locked(keep, copies)
    meta = dict(kept.meta or {})
    before = meta.get(MERGED, [])
    if not isinstance(before, list):
        raise Conflict(
            f"The meta of image {kept.pk} holds something else as {MERGED!r}: rename that first."
        )
    meta[MERGED] = before + [entry for row in rows for entry in _entries(row)]
    changing.update_item(model=Image, item_id=kept.pk, fields={"meta": meta}, by=by)
    return _delete(rows, by, reason)


@transaction.atomic
def mark_not_duplicates(*, keep: int, copies: Iterable[int], by: str, reason: str = "") -> int:
    """Store that ``copies`` are no duplicates of others in their cluster. Return how many.

    Later searches do not change this. Raises ``Conflict``.
    """
    kept, rows = _locked(keep, copies)
    apart = {row.pk for row in rows}
    everyone = members_with(kept.pk)
    group = uuid.uuid4()
    NotDuplicate.objects.bulk_create(
        [NotDuplicate(group=group, image_id=pk, together=pk not in apart) for pk in everyone]
    )
    with batch_notifications():
        for row in rows:
            notify_changed(by=by, verb="told apart", row=row, after=sorted(everyone), reason=reason)
    return len(rows)


def _locked(keep: int, copies: Iterable[int]) -> tuple[Image, list[Image]]:
    """Lock and return the image to keep and its copies: all ready, all in one cluster."""
    wanted = {keep, *copies}
    rows = {row.pk: row for row in locked(Image.objects.filter(pk__in=wanted))}
    if keep not in rows or wanted - members_with(keep):
        raise Conflict(f"The cluster of image {keep} has changed meanwhile: look at it again.")
    kept = rows.pop(keep)
    if not rows:
        raise Conflict(f"Nothing is chosen in the cluster of image {keep} besides that image.")
    return kept, [rows[pk] for pk in sorted(rows)]


def _entries(row: Image) -> list[dict[str, Any]]:
    meta = dict(row.meta or {})
    earlier = meta.pop(MERGED, []) if isinstance(meta.get(MERGED), list) else []
    entry = {
        "id": row.pk,
        "data_id": row.data_id,
        "url": row.url,
        "remark": row.remark,
        "meta": None if row.meta is None else meta,
        "md5": row.known_md5 or "",
    }
    return [entry, *earlier]


def _delete(rows: list[Image], by: str, reason: str) -> int:
    doomed = Image.objects.filter(pk__in=[row.pk for row in rows])
    return changing.delete_items(items=doomed, by=by, reason=reason)
