"""Store images that were described elsewhere, one transaction for each batch.

Their ids are kept where they are free. An image whose md5 is stored already is left out, so running
an import again resumes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from django.db import IntegrityError, connection, transaction

from gallery.imaging.descriptors.base import ColumnsByVersion
from gallery.items import file_storage, versions
from gallery.items.fingerprint_storage import store_many
from gallery.items.importing import ANALYZE_FROM
from gallery.items.item import Item, Status
from gallery.items.models import Image
from gallery.items.publishing import held_of
from gallery.items.signals import batch_notifications, notify_changed
from gallery.shared.errors import Conflict

BUSY: Final = Conflict("Another import or export of a gallery is running: wait until it ends.")
ATTEMPTS: Final = 3
"""Tries of one batch, as clients may add the same files meanwhile."""

Kind = Literal["added", "held", "exists", "merged", "failed"]


@dataclass(frozen=True)
class MovedImage:
    """An unsaved image with the id that it had, its vectors by view, and its files by field."""

    image: Image
    views: Mapping[str, ColumnsByVersion]
    files: Mapping[str, bytes] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class MoveOutcome:
    """``source_id``: the id it had. ``image_id``: the one it has here, if there is one.

    ``held``: added, but a publishing gate holds it. ``merged``: another row is the same picture.
    """

    source_id: int
    kind: Kind
    image_id: int | None = None
    reason: str = ""


def reserve_ids(model: type[Item], highest: int) -> None:
    """Make new items get ids above ``highest``, so that they take none that an import needs."""
    table = model._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        # No insert may take an id between reading and setting the sequence.
        cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"SELECT last_value FROM {table}_id_seq")  # noqa: S608
        if cursor.fetchone()[0] < highest:
            cursor.execute("SELECT setval(%s, %s)", [f"{table}_id_seq", highest])


def stored_ids(model: type[Item], md5s: Sequence[str]) -> dict[str, int]:
    """Return md5 → id of the items that are stored."""
    rows = model._default_manager.filter(md5__in=md5s)
    return dict(rows.values_list("md5", "pk"))


def exists_as(source_id: int, here: int, noun: str = "image") -> MoveOutcome:
    """Return the outcome of an item that is stored already. Under its own id nothing is said."""
    reason = "" if source_id == here else f"It is here as {noun} {here}."
    return MoveOutcome(source_id, "exists", here, reason)


def taken_ids(model: type[Item], ids: Sequence[int]) -> set[int]:
    return set(model._default_manager.filter(pk__in=ids).values_list("pk", flat=True))


def store(moved: Sequence[MovedImage], *, by: str) -> list[MoveOutcome]:
    """Insert the images, publish them, and return an outcome for each, in no order."""
    wanted = {one.image.md5: one.image.pk for one in moved}
    for attempt in range(ATTEMPTS):
        known = stored_ids(Image, list(wanted))
        outcomes = [exists_as(wanted[md5], pk) for md5, pk in known.items()]
        new = [one for one in moved if one.image.md5 not in known]
        try:
            return [*outcomes, *_insert(new, wanted, by)]
        except IntegrityError:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _insert(moved: Sequence[MovedImage], wanted: Mapping[str, int], by: str) -> list[MoveOutcome]:
    taken = taken_ids(Image, [wanted[one.image.md5] for one in moved])
    with file_storage.undo_files() as files, transaction.atomic(), batch_notifications():
        for one in moved:
            image = one.image
            image.pk = None if wanted[image.md5] in taken else wanted[image.md5]
            image.status, image.added_by = Status.READY, by
            _save_files(one, files)
        images = Image.objects.bulk_create([one.image for one in moved])
        _store_vectors(moved)
        held = held_of(images)
        return [
            publish_moved(
                one.image, wanted[one.image.md5], note=one.note, held=one.image.pk in held, by=by
            )
            for one in moved
        ]


def _save_files(one: MovedImage, files: file_storage.undo_files) -> None:
    if "original" in one.files:
        name = file_storage.save_original(one.image.sha256, one.files["original"])
        one.image.original = files.add(name)
    if "thumbnail" in one.files:
        name = file_storage.save_thumbnail(one.image.sha256, one.files["thumbnail"])
        one.image.thumbnail = files.add(name)


def _store_vectors(moved: Sequence[MovedImage]) -> None:
    by_view: dict[str, dict[int, ColumnsByVersion]] = {}
    noted: set[str] = set()
    for one in moved:
        for view, columns in one.views.items():
            if new := columns.keys() - noted:
                versions.note({version: columns[version] for version in new})
                noted |= new
            by_view.setdefault(view, {})[one.image.pk] = columns
    for view, rows in by_view.items():
        store_many(rows, view)


def publish_moved(item: Item, source_id: int, *, note: str, held: bool, by: str) -> MoveOutcome:
    """Quarantine an item that a gate holds. Tell of it, and return its outcome."""
    notify_changed(by=by, verb="moved in", row=item, after=item.status)
    notes = [note] if note else []
    if item.pk != source_id:
        noun = item._meta.verbose_name
        notes.append(f"Its id is taken here: it is {noun} {item.pk} now.")
    if not held:
        return MoveOutcome(source_id, "added", item.pk, " ".join(notes))
    before = item.status
    item.move_to(Status.QUARANTINED)
    item.save(update_fields=["status", "quarantined_at"])
    notify_changed(by=by, verb="quarantined", row=item, before=before, after=item.status)
    return MoveOutcome(source_id, "held", item.pk, " ".join(["A list holds it.", *notes]))


def analyze(added: int) -> None:
    """Update the planner's statistics after many new images."""
    if added >= ANALYZE_FROM:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE gallery_image, gallery_imagefingerprint, gallery_imagedetail")
