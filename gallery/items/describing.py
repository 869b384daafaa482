"""Describe images: claim, decode, compute vectors, store, publish.

If a worker dies, another one takes its task. So a worker first leases an image and commits the
attempt, then reads its bytes. An image that was tried before is described alone, so that a
picture that kills workers does not make others fail.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django_q.tasks import async_task

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.pictures import ReadFile
from gallery.items import conf, embedding, file_storage, versions
from gallery.items.fingerprint_storage import store_fingerprints, store_many, store_other_views
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.items.preprocessing import Description, describe_file
from gallery.items.publishing import publish
from gallery.items.signals import batch_notifications, notify_changed
from gallery.shared import counters, leases
from gallery.shared.errors import Unavailable, UserError
from gallery.shared.locking import locked

IMAGES_PER_TASK = 16
PIXELS_IN_HAND = 16_000_000
"""Described images with so many pixels together are published at once: 48 MB, at most twice."""

MAX_ATTEMPTS = 3
WORKER = "worker"
KILLS_WORKERS = (
    "Describing this picture ended the worker or failed three times, so it is left alone: the "
    "worker's log says more. Re-encode the file and add it again."
)
ORIGINAL_LOST = (
    "The original is gone from storage, so it cannot be described. Add the picture again."
)
logger = logging.getLogger(__name__)

Described = tuple[ReadFile, Description]


def enqueue(ids: Sequence[int]) -> None:
    """Queue the description of pending images in this transaction, one task for each batch."""
    for start in range(0, len(ids), IMAGES_PER_TASK):
        async_task("gallery.tasks.describe_images", list(ids[start : start + IMAGES_PER_TASK]))


def describe_images(ids: Sequence[int]) -> int:
    """Describe waiting images (not only ``ids``). Return how many became ready.

    Safe to run twice and in parallel. A bad picture raises nothing: its image fails, with the
    reason. Stops long before the task's time limit; the other images have their own tasks.
    """
    done = 0
    until = time.monotonic() + settings.TASK_TIMEOUT / 8
    for condition, count in ((Q(attempts=0), IMAGES_PER_TASK), (Q(attempts__gt=0), 1)):
        while time.monotonic() < until and (batch := _claim(condition, count)):
            try:
                done += _describe_claimed(batch)
            except OSError:  # a full disk or no decoders, which three attempts do not outlast
                for image in batch:
                    leases.give_back(image)
                raise
    return done


@transaction.atomic
@batch_notifications()
def describe_again(*, items: QuerySet[Image], by: str) -> int:
    """Queue failed images again. Return how many.

    Images without a stored original cannot be read again and are skipped.
    """
    rows = locked(items.filter(status=Status.FAILED).exclude(original=""), no_key=True)
    for image in rows:
        image.move_to(Status.PENDING)
        image.attempts = 0
        image.save()
        notify_changed(by=by, verb="retried", row=image, before=Status.FAILED, after=Status.PENDING)
    enqueue([image.pk for image in rows])
    return len(rows)


def _claim(condition: Q, count: int) -> list[Image]:
    due = Image.objects.describable().filter(condition).order_by("id")
    return leases.take(due, timedelta(seconds=settings.TASK_TIMEOUT * 2), count=count)


def _describe_claimed(images: Sequence[Image]) -> int:
    """Describe the images one by one, and publish them while their pixels are still in hand."""
    done = pixels = 0
    described: dict[int, Described] = {}
    for image in images:
        if image.attempts > MAX_ATTEMPTS:
            _fail(image, "kills_workers", KILLS_WORKERS)
            continue
        try:
            data = file_storage.read_original(image)
            file = ReadFile(data, decoding.decode(data, conf.limits()))
            described[image.pk] = file, _describe(file)
        except FileNotFoundError:
            _fail(image, "original_lost", ORIGINAL_LOST)
        except UserError as error:
            _fail(image, error.code, error.message)
        pixels += image.width * image.height
        if pixels >= PIXELS_IN_HAND:
            done += _finish(described)
            described, pixels = {}, 0
    return done + (_finish(described) if described else 0)


def _describe(file: ReadFile) -> Description:
    """Describe also by the model that runs here, while there are pixels; without it if it fails."""
    kinds = [descriptors.get(name) for name in descriptors.PIXELS]
    limits, size = conf.limits(), settings.THUMBNAIL_SIZE
    try:
        return describe_file(file, [*kinds, *versions.written("copy")], limits, size)
    except Unavailable:
        return describe_file(file, kinds, limits, size)


def _finish(described: Mapping[int, Described]) -> int:
    """Store and publish a batch in one transaction. Return how many images are ready.

    Skips images that were deleted or finished in the meantime.
    """
    with file_storage.undo_files() as files, transaction.atomic(), batch_notifications():
        images = list(
            Image.objects.filter(pk__in=described, status=Status.PENDING)
            .order_by("id")
            .select_for_update()
        )
        store_many({image.pk: described[image.pk][1].columns for image in images})
        waiting: dict[str, list[int]] = {}
        for image in images:
            image.in_hand, description = described[image.pk]
            store_other_views(image.pk, description.further)
            _complete_row(image, description, files, by=WORKER)
            for name in embedding.missing_models(description.columns):
                waiting.setdefault(name, []).append(image.pk)
        for name, ids in waiting.items():
            embedding.enqueue(ids, [name])
    return sum(image.status == Status.READY for image in images)


def complete(
    image: Image, description: Description, files: file_storage.undo_files, *, by: str
) -> None:
    """Store a description and publish the image. The caller has locked the row in a transaction."""
    versions.note(description.columns)
    store_fingerprints(image.pk, description.columns)
    store_other_views(image.pk, description.further)
    _complete_row(image, description, files, by=by)
    embedding.enqueue([image.pk], embedding.missing_models(description.columns))


def _complete_row(
    image: Image, description: Description, files: file_storage.undo_files, *, by: str
) -> None:
    image.thumbnail = files.add(file_storage.save_thumbnail(image.sha256, description.thumbnail))
    original = image.original.name
    # Keep the original while a model's vector is missing: it is computed from the original.
    spare = not image.keep_original and not embedding.missing_models(description.columns)
    publish(image, by=by, spare=spare)
    image.in_hand = None
    if not image.original:
        file_storage.delete_after_commit([original])


def _fail(image: Image, code: str, reason: str) -> None:
    with transaction.atomic():
        row = Image.objects.select_for_update().filter(pk=image.pk, status=Status.PENDING).first()
        if row is None:
            return
        row.move_to(Status.FAILED, failure=reason)
        row.save()
        notify_changed(by=WORKER, verb="failed", row=row, before="pending", after="failed")
        counters.count("item_failures", "image", code)
    logger.warning("image %s failed: %s", image.pk, reason)
