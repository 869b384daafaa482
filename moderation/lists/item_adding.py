"""Add items to lists: from hashes, pictures, links, images and videos."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from gallery.imaging.decoding.limits import TooLarge
from gallery.imaging.decoding.sniffing import sniff
from gallery.items.file_storage import undo_files
from gallery.items.item import Item
from gallery.items.kinds import kinds
from gallery.net.fetching import fetch_into
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.access.words import word
from moderation.audit import trail
from moderation.lists import item_pictures, item_reading, list_writes
from moderation.lists.item_reading import NewItem
from moderation.lists.models import BannedFingerprint, BannedHash, BannedItem, BannedList
from videos import conf as video_conf

HEAD_BYTES = 4096
"""Bytes that are read to tell whether a file is a picture."""


def add_hashes(
    *,
    by: Actor,
    list_id: int,
    hashes: Iterable[tuple[str, str, int | None]],
    reason: str = "",
    **facts: Any,
) -> BannedItem:
    """Add an item from hashes alone, given as tuples of kind, hex, and pdq quality or None.

    ``facts``: some of ``FACTS``. Raises ``NotAllowed``, ``NotFound``, ``InvalidHash``, and
    ``Conflict`` if one item of the list already has all of these hashes.
    """
    check(by, "edit items")
    return _add_one(by, list_id, item_reading.of_hashes(hashes, facts), reason)


def add_batch(
    *, by: Actor, list_id: int, rows: Sequence[Mapping[str, Any]], reason: str = ""
) -> AddResult:
    """Add many items by hash. Each row succeeds or fails alone.

    Each row has ``hashes`` and facts, as in ``add_hashes``. Raises ``NotAllowed`` and ``NotFound``.
    """
    check(by, "edit items")
    made: list[NewItem | UserError] = []
    for row in rows:
        facts = dict(row)
        try:
            made.append(item_reading.of_hashes(facts.pop("hashes"), facts))
        except UserError as error:
            made.append(error)
    return add(by=by, list_id=list_id, made=made, reason=reason)


def add_picture(
    *, by: Actor, list_id: int, data: bytes, reason: str = "", **facts: Any
) -> BannedItem:
    """Add a picture file: its hashes and, unless the list is hash-only, its vectors and thumbnail.

    All distinct frames of an animation are included. Raises ``NotAllowed``, ``NotFound``,
    ``NotAnImage``, ``TooLarge``, and ``Conflict`` if the file is already on the list.
    """
    check(by, "edit items")
    return _add_one(by, list_id, item_reading.of_bytes(data, facts), reason)


def add_stored(
    *, by: Actor, list_id: int, kind: str, item_id: int, reason: str = "", **facts: Any
) -> BannedItem:
    """Add a stored image or video. The stored image or video is not changed.

    Raises ``NotAllowed``, ``NotFound``, and ``Conflict`` if it is already on the list or is not
    described yet.
    """
    check(by, "edit items")
    item = kinds()[kind].rows([item_id]).first()
    if item is None:
        raise NotFound(
            gettext("There is no %(kind)s %(number)s.") % {"kind": word(kind), "number": item_id},
            field=f"{kind}_id",
        )
    return _add_one(by, list_id, item_reading.of_stored(item, facts), reason)


def add_all_stored(
    *, by: Actor, list_id: int, items: QuerySet[Any], reason: str = "", **facts: Any
) -> AddResult:
    """Add stored images or videos. Each succeeds or fails alone.

    Images are not decoded again where their stored descriptors suffice: a worker makes the large
    pictures of those items.
    """
    check(by, "edit items")
    made = [_attempt(one, facts) for one in items]
    with transaction.atomic():
        added = add(by=by, list_id=list_id, made=made, reason=reason)
        item_pictures.queue(added.items)
    return added


def add_file(*, by: Actor, list_id: int, file: File, reason: str = "", **facts: Any) -> BannedItem:
    """Add a picture as in ``add_picture``, or any other file as a video, which is read completely.

    Only distinct frames of sufficient quality are taken from a video. Raises ``NotAllowed``,
    ``NotFound``, ``NotAnImage``, ``NotAVideo``, ``TooLarge``, ``Unavailable`` if a video needs a
    model that is missing, and ``Conflict`` if the file is already on the list.
    """
    check(by, "edit items")
    return _add_one(by, list_id, _of_file(file, facts), reason)


def add_link(*, by: Actor, list_id: int, url: str, reason: str = "", **facts: Any) -> BannedItem:
    """Add the file at a URL, as in ``add_file``. Also raises ``FetchFailed``."""
    check(by, "edit items")
    with TemporaryUploadedFile("fetched", "", 0, None) as fetched:
        fetch_into(cast(BinaryIO, fetched), url, video_conf.fetch_policy())
        fetched.size = fetched.tell()
        fetched.flush()
        return _add_one(by, list_id, _of_file(fetched, facts), reason)


def _of_file(file: File, facts: dict[str, Any]) -> NewItem:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if sniff(head) is None:
        return item_reading.of_file(file, facts)
    if file.size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(
            gettext(
                "The picture has %(size)s bytes, more than the %(max_upload_bytes)s accepted; "
                "add a smaller version, or its hashes."
            )
            % {"size": f"{file.size:,}", "max_upload_bytes": f"{settings.MAX_UPLOAD_BYTES:,}"}
        )
    return item_reading.of_bytes(file.read(), facts)


def _attempt(item: Item, facts: dict[str, Any]) -> NewItem | UserError:
    try:
        return item_reading.of_stored(item, dict(facts), decodes=False)
    except UserError as error:
        return error


def _add_one(by: Actor, list_id: int, entry: NewItem, reason: str) -> BannedItem:
    added = add(by=by, list_id=list_id, made=[entry], reason=reason)
    if added.refused:
        raise added.refused[0]
    return added.items[0]


FACTS = (
    "source", "source_id", "category", "severity", "owner", "tags", "note", "updated_at",
    "expires_at", "feedback", "media",
)  # fmt: skip
"""The fields that describe an item, besides its hashes and vectors."""


@dataclass(frozen=True)
class AddResult:
    """``items``: the added items, in the given order. ``refused``: position → reason."""

    items: list[BannedItem]
    refused: dict[int, UserError] = field(default_factory=dict)


def add(*, by: Actor, list_id: int, made: Sequence[NewItem | UserError], reason: str) -> AddResult:
    """Store the items that could be read, in one transaction with one audit event.

    Raises ``NotFound``.
    """
    with undo_files() as files, transaction.atomic():
        row = list_writes.locked(list_id)
        list_writes.check_may_add(by, row)
        added = AddResult([])
        for position, entry in enumerate(made):
            try:
                if isinstance(entry, UserError):
                    raise entry
                with transaction.atomic():
                    added.items.append(_store(row, entry, files, by=by))
            except UserError as error:
                added.refused[position] = error
        if added.items:
            list_writes.touch([row.pk])
            _scan(row, added.items, by=by)
            _record(row, added.items, by=by, reason=reason)
    return added


def _store(row: BannedList, entry: NewItem, files: undo_files, *, by: Actor) -> BannedItem:
    if unknown := entry.facts.keys() - set(FACTS):
        raise TypeError(f"an item has no {', '.join(sorted(unknown))}")
    # Checked after locking the list's row: the list may have become hash-only.
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
        name = list_writes.picture_name(exact)
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


def _refuse_known(row: BannedList, entry: NewItem) -> None:
    wanted = {(one.kind, one.value) for one in entry.hashes}
    known: dict[int, set[tuple[str, str]]] = {}
    same = BannedHash.objects.valued({value for _, value in wanted}).filter(item__list=row)
    for item_id, kind, value in same.values_list("item", "kind", "value"):
        known.setdefault(item_id, set()).add((kind, value))
    for item_id, has in known.items():
        if wanted <= has:
            raise Conflict(
                gettext("This is on the list %(list)s already, as item %(number)s.")
                % {"list": row.name, "number": item_id},
                existing_id=item_id,
            )


def _refuse_source(item: BannedItem) -> None:
    same = BannedItem.objects.filter(
        list=item.list, source=item.source, source_id=item.source_id
    ).first()
    if item.source_id and same is not None:
        raise Conflict(
            gettext("The list has the entry %(number)s of %(source)s already, as item %(item)s.")
            % {
                "number": item.source_id,
                "source": item.source or gettext("no source"),
                "item": same.pk,
            },
            existing_id=same.pk,
            field="source_id",
        )


def _scan(row: BannedList, items: Sequence[BannedItem], *, by: Actor) -> None:
    if len(items) == 1:
        list_writes.scan(row, by=by, item_id=items[0].pk, reason="item added")
    else:
        list_writes.scan(row, by=by, after_item=items[0].pk - 1, reason=f"{len(items)} items added")


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
