"""Read images again that were described by older code, which read only the first picture of a file.

The result is stored as for a new image and signalled by ``signals.pictures_found``. If the first
picture differs from the one that older code read, all its stored data is replaced; otherwise
searches would find what no viewer shows. An image is marked as unreadable before its file is
opened, so that workers do not retry a file that kills their process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.pictures import ReadFile
from gallery.imaging.decoding.rendered_pictures import FULL_VIEW
from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.items import conf, embedding, file_storage
from gallery.items.backfill import BackfillOutcome, read_again
from gallery.items.fingerprint_storage import store_fingerprints, store_other_views
from gallery.items.item import UNREADABLE
from gallery.items.models import DuplicateScan, Image
from gallery.items.preprocessing import Description, describe_file
from gallery.items.signals import pictures_found
from gallery.shared.errors import UserError

IMAGES_PER_BATCH = 100


def count_outdated() -> tuple[int, int]:
    """Return the number of outdated images, and how many of them must be fetched again."""
    left = Image.objects.outdated()
    return left.count(), left.filter(original="").count()


def reprocess_all() -> Iterator[BackfillOutcome]:
    """Reprocess all outdated images: first those never tried, then those that could not be read."""
    left = Image.objects.outdated()
    failed = left.filter(pictures_version=UNREADABLE)
    before = list(failed.values_list("pk", flat=True))
    yield from _each(left.exclude(pictures_version=UNREADABLE))
    yield from _each(failed.filter(pk__in=before))


def reprocess_some() -> int:
    """Reprocess images that workers read on their own, within a task's time. Return how many."""
    until = time.monotonic() + settings.TASK_TIMEOUT / 8
    return sum(1 for _ in _each(Image.objects.outdated_for_workers(), until=until))


def _each(rows: QuerySet[Image], *, until: float = float("inf")) -> Iterator[BackfillOutcome]:
    last = 0
    while batch := list(rows.filter(pk__gt=last).order_by("id")[:IMAGES_PER_BATCH]):
        for image in batch:
            if time.monotonic() > until:
                return
            last = image.pk
            # Another worker may have taken it in the meantime.
            mine = Image.objects.filter(pk=last, pictures_version=image.pictures_version)
            if mine.update(pictures_version=UNREADABLE):
                yield _reprocess(image)


def _reprocess(image: Image) -> BackfillOutcome:
    data = read_again(image)
    if isinstance(data, BackfillOutcome):
        return data
    try:
        file = ReadFile(data, decoding.decode(data, conf.limits()))
    except UserError as error:
        return BackfillOutcome(image.pk, "failed", error.message)
    kinds = [descriptors.get(name) for name in descriptors.PIXELS]
    found = describe_file(file, kinds, conf.limits(), settings.THUMBNAIL_SIZE)
    _store(image.pk, found)
    return BackfillOutcome(image.pk, "filled")


def _store(image_id: int, found: Description) -> None:
    with file_storage.undo_files() as files, transaction.atomic():
        row = Image.objects.select_for_update(no_key=True).filter(pk=image_id).first()
        if row is None:
            return
        another = _is_another(row, found)
        if another:
            _replace(row, found, files)
        store_other_views(image_id, found.further)
        row.pictures_version = row.PICTURES_VERSION
        row.save(update_fields=["pictures_version", "thumbnail"])
        if another or found.further:
            pictures_found.send(sender=Image, ids=[image_id])


def _is_another(row: Image, found: Description) -> bool:
    """Return whether the first picture's hash differs from the stored one, if there is one."""
    rows = row.fingerprints.filter(view=FULL_VIEW, version=PIXELS_VERSION)
    now = found.columns.get(PIXELS_VERSION, {}).get("pdq")
    return any(str(before) != str(now) for before in rows.values_list("pdq", flat=True))


def _replace(row: Image, found: Description, files: file_storage.undo_files) -> None:
    """Replace all data of the first picture. Workers or ``backfill`` add the models' vectors."""
    row.fingerprints.filter(view=FULL_VIEW).delete()
    store_fingerprints(row.pk, found.columns)
    file_storage.delete_after_commit([row.thumbnail.name])
    row.thumbnail = files.add(file_storage.save_thumbnail(row.sha256, found.thumbnail))
    DuplicateScan.objects.filter(image=row).delete()
    embedding.enqueue([row.pk], embedding.configured_models())
