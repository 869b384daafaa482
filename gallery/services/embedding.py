"""CLIP vectors: filled by the embed workers after an image is visible, or for a whole gallery."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Count

from gallery import conf, decoding, versions
from gallery.descriptors import Columns, ColumnsByVersion, Descriptor
from gallery.errors import UserError
from gallery.models import Image, ImageFingerprint, Status
from gallery.services import storing
from gallery.services.describing import store_columns

BATCH = 16
logger = logging.getLogger(__name__)


def embed_images(ids: Sequence[int]) -> int:
    """Store the vectors that images lack, of each CLIP model in use (``versions.written``).

    Answers how many images were read. Does nothing where CLIP is not set up:
    ``describe_missing`` fills the gap once it is. Images whose original is gone are left to it
    too.
    """
    models = versions.written()
    complete = (
        ImageFingerprint.objects.filter(
            view="full", version__in=[model.version for model in models]
        )
        .values("item")
        .annotate(count=Count("id"))
        .filter(count=len(models))
    )
    rows = list(
        Image.objects.filter(pk__in=ids)
        .exclude(status__in=[Status.PENDING, Status.FAILED])
        .exclude(pk__in=complete.filter(item__in=ids).values("item"))
        .exclude(original="")
        .order_by("id")
    )
    done = 0
    for start in range(0, len(rows) if models else 0, BATCH):
        done += _embed(rows[start : start + BATCH], models)
    return done


def _embed(images: Sequence[Image], models: Sequence[Descriptor]) -> int:
    readable: list[tuple[Image, decoding.Picture]] = []
    for image in images:
        try:
            readable.append((image, decoding.decode(storing.read_original(image), conf.limits())))
        except (FileNotFoundError, UserError) as error:
            logger.warning("image %s has no clip vector: %s", image.pk, error)
    pictures = [picture for _, picture in readable]
    columns: dict[int, dict[str, Columns]] = {image.pk: {} for image, _ in readable}
    for model in models:
        for (image, _), values in zip(readable, model.describe(pictures), strict=True):
            if values:
                versions.register(model.version, len(values["clip"]))
                columns[image.pk][model.version] = values
    for pk, by_version in columns.items():
        finish(pk, by_version)
    return len(readable)


def finish(image_id: int, columns: ColumnsByVersion) -> None:
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
