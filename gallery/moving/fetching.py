"""Fetch the pictures of images that were moved in without their files, and describe them.

A picture is taken only if it is the one that was moved in: by its md5, or else by its pattern. It
then passes the publishing gates like an upload.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.pictures import ReadFile
from gallery.imaging.decoding.rendered_pictures import FULL_VIEW
from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.imaging.descriptors.stored_patterns import PatternQuery
from gallery.items import conf, embedding, file_storage
from gallery.items.backfill import GONE_STATUSES, BackfillOutcome
from gallery.items.fingerprint_storage import store_fingerprints, store_other_views
from gallery.items.item import PUBLISHED, Status
from gallery.items.models import DuplicateScan, Image, ImageFingerprint
from gallery.items.originals import keeps_original
from gallery.items.preprocessing import FETCH_THREADS, Description, Hashes, describe_file
from gallery.items.publishing import passes
from gallery.items.signals import notify_changed
from gallery.net.fetching import fetch
from gallery.net.transport import FetchFailed
from gallery.shared.errors import UserError

BY: Final = "command:describe_missing"
SAME_PATTERN: Final = 0.01
"""The largest distance of patterns of one picture. The original's text form makes 0.00003, and how
they are stored 0.001."""

ANOTHER: Final = "Its URL holds another picture now."


def without_picture() -> QuerySet[Image]:
    """Return the images that were moved in without their files and have a link."""
    rows = Image.objects.filter(status__in=PUBLISHED, media_deleted_at=None)
    return rows.filter(original="", thumbnail="", url__isnull=False)


def fetch_pictures() -> Iterator[BackfillOutcome]:
    """Fetch and describe them, by id. A later run tries again what failed."""
    last = 0
    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        while some := list(without_picture().filter(pk__gt=last).order_by("id")[:FETCH_THREADS]):
            last = some[-1].pk
            for image, data in zip(some, pool.map(_fetch, some), strict=True):
                yield data if isinstance(data, BackfillOutcome) else _take(image, data)


def _fetch(image: Image) -> bytes | BackfillOutcome:
    """Runs in a thread and does not use the database."""
    try:
        return fetch(image.url or "", conf.fetch_policy()).data
    except FetchFailed as error:
        gone = error.upstream_status in GONE_STATUSES
        return BackfillOutcome(image.pk, "stale" if gone else "failed", error.message)


def _take(image: Image, data: bytes) -> BackfillOutcome:
    hashes = Hashes.of(data)
    if image.known_md5 and not hashes.are_of(image):
        return _stale(image)
    if other := Image.objects.filter(md5=hashes.md5).exclude(pk=image.pk).first():
        return BackfillOutcome(image.pk, "failed", f"Its picture is here as image {other.pk}.")
    try:
        file = ReadFile(data, decoding.decode(data, conf.limits()))
    except UserError as error:
        return BackfillOutcome(image.pk, "failed", error.message)
    kinds = [descriptors.get(name) for name in descriptors.PIXELS]
    found = describe_file(file, kinds, conf.limits(), settings.THUMBNAIL_SIZE)
    if not image.known_md5 and not _has_pattern_of(image, found):
        return _stale(image)
    try:
        _store(image.pk, file, hashes, found)
    except IntegrityError:
        return BackfillOutcome(image.pk, "failed", "Its picture was added in the meantime.")
    return BackfillOutcome(image.pk, "filled")


def _stale(image: Image) -> BackfillOutcome:
    Image.objects.filter(pk=image.pk, stale_at=None).update(stale_at=timezone.now())
    return BackfillOutcome(image.pk, "stale", ANOTHER)


def _has_pattern_of(image: Image, found: Description) -> bool:
    """Return whether the patterns are equal, or none was moved in."""
    before = ImageFingerprint.objects.filter(item=image, view=FULL_VIEW, version=PIXELS_VERSION)
    stored = before.exclude(detail__pattern=None).values_list("detail__pattern", flat=True).first()
    if stored is None:
        return True
    now = found.columns[PIXELS_VERSION].get("pattern")
    return now is not None and PatternQuery.of(now).distances([bytes(stored)])[0] <= SAME_PATTERN


def _store(image_id: int, file: ReadFile, hashes: Hashes, found: Description) -> None:
    with file_storage.undo_files() as files, transaction.atomic():
        rows = without_picture().filter(pk=image_id)
        image = rows.select_for_update().first()
        if image is None:  # deleted or described in the meantime
            return
        info = file.picture.info
        image.md5, image.sha1, image.sha256 = hashes.md5, hashes.sha1, hashes.sha256
        image.format, image.width, image.height = info.format, info.width, info.height
        image.bytes, image.stale_at = len(file.data), None
        image.pictures_version = image.PICTURES_VERSION
        image.keep_original = keeps_original(Image, fetched=True)
        models = embedding.configured_models()
        if image.keep_original or models or settings.PUBLISHING_GATES:
            image.original = files.add(file_storage.save_original(image.sha256, file.data))
        image.thumbnail = files.add(file_storage.save_thumbnail(image.sha256, found.thumbnail))
        # Its pattern is made anew too, from the pixels, with the hash that it lacks.
        image.fingerprints.all().delete()
        store_fingerprints(image.pk, found.columns)
        store_other_views(image.pk, found.further)
        DuplicateScan.objects.filter(image=image).delete()
        image.in_hand = file
        before = image.status
        if before == Status.READY and not passes(image):
            image.move_to(Status.QUARANTINED)
        image.save()
        notify_changed(by=BY, verb="picture fetched", row=image, before=before, after=image.status)
        embedding.enqueue([image.pk], models)
