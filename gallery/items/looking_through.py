"""Every picture in the files of images that older code described: it looked at the first alone.

What is found is stored as of a new image, and told by ``signals.pictures_found``. Where the first
picture itself is another one than older code saw, all that is stored of it is made anew: else
searches would go on with what no viewer shows. An image is noted as unreadable before its file is
touched, so that one which ends its process is tried by nobody but a person's command.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from gallery.imaging import decoding, descriptors
from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.imaging.shown_pictures import FULL
from gallery.items import conf, embedding, file_storage
from gallery.items.backfill import BackfillOutcome, read_again
from gallery.items.item import UNREADABLE
from gallery.items.models import DuplicateScan, Image
from gallery.items.preprocessing import Description, describe_file
from gallery.items.signals import pictures_found
from gallery.items.storing_columns import store_columns, store_further
from gallery.shared.errors import UserError

BATCH = 100


def count_left() -> tuple[int, int]:
    """Images that were not looked through, and how many of them are known by their link alone."""
    left = Image.objects.not_looked_through()
    return left.count(), left.filter(original="").count()


def look_through() -> Iterator[BackfillOutcome]:
    """All of them: what was never tried, then what could not be read. Links are fetched again."""
    left = Image.objects.not_looked_through()
    failed = left.filter(pictures_version=UNREADABLE)
    before = list(failed.values_list("pk", flat=True))
    yield from _each(left.exclude(pictures_version=UNREADABLE))
    yield from _each(failed.filter(pk__in=before))


def look_through_some() -> int:
    """Those that are left to workers, for as long as a task may take. Answers how many."""
    until = time.monotonic() + settings.TASK_TIMEOUT / 8
    return sum(1 for _ in _each(Image.objects.left_to_workers(), until=until))


def _each(rows: QuerySet[Image], *, until: float = float("inf")) -> Iterator[BackfillOutcome]:
    last = 0
    while batch := list(rows.filter(pk__gt=last).order_by("id")[:BATCH]):
        for image in batch:
            if time.monotonic() > until:
                return
            last = image.pk
            # Another worker may have taken it meanwhile.
            mine = Image.objects.filter(pk=last, pictures_version=image.pictures_version)
            if mine.update(pictures_version=UNREADABLE):
                yield _look_through(image)


def _look_through(image: Image) -> BackfillOutcome:
    data = read_again(image)
    if isinstance(data, BackfillOutcome):
        return data
    try:
        picture = decoding.decode(data, conf.limits())
    except UserError as error:
        return BackfillOutcome(image.pk, "failed", error.message)
    kinds = [descriptors.get(name) for name in descriptors.PIXELS]
    found = describe_file(data, picture, kinds, conf.limits(), settings.THUMBNAIL_SIZE)
    _store(image.pk, found)
    return BackfillOutcome(image.pk, "filled")


def _store(image_id: int, found: Description) -> None:
    with file_storage.undo_files() as files, transaction.atomic():
        row = Image.objects.select_for_update(no_key=True).filter(pk=image_id).first()
        if row is None:
            return
        another = _is_another(row, found)
        if another:
            _store_anew(row, found, files)
        store_further(image_id, found.further)
        row.pictures_version = row.PICTURES_VERSION
        row.save(update_fields=["pictures_version", "thumbnail"])
        if another or found.further:
            pictures_found.send(sender=Image, ids=[image_id])


def _is_another(row: Image, found: Description) -> bool:
    """Whether the first picture's hash is another one now. What was never stored at all is left
    to ``backfill``."""
    rows = row.fingerprints.filter(view=FULL, version=PIXELS_VERSION)
    now = found.columns.get(PIXELS_VERSION, {}).get("pdq")
    return any(str(before) != str(now) for before in rows.values_list("pdq", flat=True))


def _store_anew(row: Image, found: Description, files: file_storage.undo_files) -> None:
    """What models say of it is made by the workers, or by ``backfill`` where only a link is
    known."""
    row.fingerprints.filter(view=FULL).delete()
    store_columns(row.pk, found.columns)
    file_storage.delete_after_commit([row.thumbnail.name])
    row.thumbnail = files.add(file_storage.save_thumbnail(row.sha256, found.thumbnail))
    DuplicateScan.objects.filter(image=row).delete()
    embedding.enqueue([row.pk], embedding.wanted())
