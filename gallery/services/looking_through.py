"""Every picture in the files of images that older code described: it looked at the first alone.

What is found is stored as of a new image, and told by ``signals.pictures_found``. An image is noted
as unreadable before its file is touched, so that one which ends its process is tried by nobody but
a person's command.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from gallery import conf, decoding, descriptors
from gallery.descriptors import ColumnsByVersion
from gallery.descriptors.base import HASHES_VERSION, PIXELS_VERSION
from gallery.errors import UserError
from gallery.items import PICTURES_VERSION, UNREADABLE
from gallery.models import Image, ImageFingerprint
from gallery.services.preparing import Description, describe_file
from gallery.services.refreshing import Outcome, read_again
from gallery.services.storing_columns import store_further
from gallery.shown_pictures import FULL
from gallery.signals import pictures_found

BATCH = 100


def count_left() -> tuple[int, int]:
    """Images that were not looked through, and how many of them are known by their link alone."""
    left = Image.objects.not_looked_through()
    return left.count(), left.filter(original="").count()


def look_through() -> Iterator[Outcome]:
    """All of them: what was never tried, then what could not be read. Links are fetched again."""
    before = list(_left(UNREADABLE).values_list("pk", flat=True))
    yield from _each(_left(0))
    yield from _each(_left(UNREADABLE).filter(pk__in=before))


def look_through_some() -> int:
    """Those of which a file is here and that were never tried, for as long as a task may take.

    Answers how many.
    """
    until = time.monotonic() + settings.TASK_TIMEOUT / 8
    return sum(1 for _ in _each(_left(0).exclude(original=""), until=until))


def _left(version: int) -> QuerySet[Image]:
    return Image.objects.not_looked_through().filter(pictures_version=version)


def _each(rows: QuerySet[Image], *, until: float = float("inf")) -> Iterator[Outcome]:
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


def _look_through(image: Image) -> Outcome:
    data = read_again(image)
    if isinstance(data, Outcome):
        return data
    try:
        picture = decoding.decode(data, conf.limits())
    except UserError as error:
        return Outcome(image.pk, "failed", error.message)
    kinds = [descriptors.get(name) for name in descriptors.PIXELS]
    found = describe_file(data, picture, kinds, conf.limits(), settings.THUMBNAIL_SIZE)
    _store(image.pk, found)
    return Outcome(image.pk, "filled")


@transaction.atomic
def _store(image_id: int, found: Description) -> None:
    row = Image.objects.select_for_update(no_key=True).filter(pk=image_id).first()
    if row is None:
        return
    further = {**found.further, **_first_as_now(image_id, found)}
    store_further(image_id, further)
    row.pictures_version = PICTURES_VERSION
    row.save(update_fields=["pictures_version"])
    if further:
        pictures_found.send(sender=Image, ids=[image_id])


def _first_as_now(image_id: int, found: Description) -> dict[str, ColumnsByVersion]:
    """The first picture's hash, if older code saw other colours: its row is never updated."""
    now = found.columns.get(PIXELS_VERSION, {})
    rows = ImageFingerprint.objects.filter(item=image_id, view=FULL, version=PIXELS_VERSION)
    before = rows.values_list("pdq", flat=True).first()
    if "pdq" not in now or (before is not None and str(before) == str(now["pdq"])):
        return {}
    return {FULL: {HASHES_VERSION: {name: now[name] for name in ("pdq", "pdq_quality")}}}
