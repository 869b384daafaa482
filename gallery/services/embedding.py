"""CLIP vectors: filled by the embed workers after an image is visible, or for a whole gallery."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.db import transaction

from gallery import conf, decoding, descriptors, versions
from gallery.descriptors.base import Columns
from gallery.errors import UserError
from gallery.models import Image, Status
from gallery.services import storing
from gallery.services.describing import store_columns

BATCH = 16
logger = logging.getLogger(__name__)


def embed_images(ids: Sequence[int]) -> int:
    """Store the configured model's vectors of those images that lack them.

    Answers how many were stored. Does nothing where CLIP is not set up: ``describe_missing``
    fills the gap once it is. Images whose original is gone are left to it too.
    """
    if not descriptors.available("clip"):
        return 0
    clip = descriptors.get("clip")
    rows = list(
        Image.objects.filter(pk__in=ids)
        .exclude(status__in=[Status.PENDING, Status.FAILED])
        .exclude(fingerprints__version=clip.version, fingerprints__view="full")
        .exclude(original="")
        .order_by("id")
    )
    done = 0
    for start in range(0, len(rows), BATCH):
        done += _embed(rows[start : start + BATCH])
    return done


def _embed(images: Sequence[Image]) -> int:
    clip = descriptors.get("clip")
    readable: list[tuple[Image, decoding.Picture]] = []
    for image in images:
        try:
            readable.append((image, decoding.decode(image.original.read(), conf.limits())))
        except (FileNotFoundError, UserError) as error:
            logger.warning("image %s has no clip vector: %s", image.pk, error)
    if not readable:
        return 0
    results = clip.describe([picture for _, picture in readable])
    for (image, _), columns in zip(readable, results, strict=True):
        if columns:
            versions.register(clip.version, len(columns["clip"]))
            finish(image.pk, {clip.version: columns})
    return len(readable)


def finish(image_id: int, columns: Mapping[str, Columns]) -> None:
    """Store the vectors, then let go of an original that is not to be kept."""
    with transaction.atomic():
        image = Image.objects.select_for_update().filter(pk=image_id).first()
        if image is None:
            return
        store_columns(image.pk, columns)
        if image.original and not image.keep_original:
            storing.delete_after_commit([image.original.name])
            image.original = ""
            image.save(update_fields=["original"])
