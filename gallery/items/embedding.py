"""Compute the vectors of models, in workers after publishing or for a whole gallery.

Each match type with a model has its own tasks: CLIP takes longest, in a cluster of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet
from django_q.tasks import async_task

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.descriptors.base import Columns, ColumnsByVersion, Descriptor
from gallery.items import conf, file_storage, versions
from gallery.items.fingerprint_storage import store_fingerprints
from gallery.items.item import Status
from gallery.items.models import Image, ImageFingerprint
from gallery.items.originals import forget_original
from gallery.shared.errors import UserError

IMAGES_PER_BATCH = 16
CLUSTERS = {"copy": None, "clip": "embed"}
"""Match type → the worker cluster that runs its model; None is the light cluster."""
logger = logging.getLogger(__name__)


def configured_models() -> list[str]:
    return [name for name in descriptors.MODELS if descriptors.available(name)]


def missing_models(columns: ColumnsByVersion) -> list[str]:
    """Return the configured models for which these columns hold no vector."""
    return [
        name
        for name in configured_models()
        if any(model.version not in columns for model in versions.written(name))
    ]


def enqueue(ids: Sequence[int], match_types: Sequence[str]) -> None:
    for name in match_types if ids else []:
        for start in range(0, len(ids), IMAGES_PER_BATCH):
            some = list(ids[start : start + IMAGES_PER_BATCH])
            async_task("gallery.tasks.embed_images", some, name, cluster=CLUSTERS[name])


def embed_images(ids: Sequence[int], match_type: str) -> int:
    """Store the missing vectors of each model of a match type. Return how many images were read.

    Does nothing if the match type is not available, and skips images without an original:
    ``describe_missing`` adds those vectors later.
    """
    models = versions.written(match_type)
    rows = list(
        Image.objects.filter(pk__in=ids)
        .exclude(status__in=[Status.PENDING, Status.FAILED])
        .exclude(pk__in=_complete(models).filter(item__in=ids).values("item"))
        .exclude(original="")
        .order_by("id")
    )
    done = 0
    for start in range(0, len(rows) if models else 0, IMAGES_PER_BATCH):
        done += _embed(rows[start : start + IMAGES_PER_BATCH], models)
    return done


def _complete(models: Sequence[Descriptor]) -> QuerySet[Any, Any]:
    """Return the ids, as ``item``, of images that all these models have described."""
    return (
        ImageFingerprint.objects.filter(
            view="full", version__in=[model.version for model in models]
        )
        .values("item")
        .annotate(count=Count("id"))
        .filter(count=len(models))
    )


def _embed(images: Sequence[Image], models: Sequence[Descriptor]) -> int:
    readable: list[tuple[Image, Picture]] = []
    for image in images:
        try:
            readable.append(
                (image, decoding.decode(file_storage.read_original(image), conf.limits()))
            )
        except (FileNotFoundError, UserError) as error:
            logger.warning("image %s is not described by %s: %s", image.pk, models[0].name, error)
    pictures = [picture for _, picture in readable]
    columns: dict[int, dict[str, Columns]] = {image.pk: {} for image, _ in readable}
    for model in models:
        for (image, _), values in zip(readable, model.describe(pictures), strict=True):
            columns[image.pk][model.version] = values or {}
    for pk, by_version in columns.items():
        finish(pk, by_version)
    return len(readable)


def finish(image_id: int, columns: ColumnsByVersion) -> None:
    """Store the vectors, then delete an unneeded original, unless the image is quarantined."""
    versions.note(columns)
    with transaction.atomic():
        image = Image.objects.select_for_update().filter(pk=image_id).first()
        if image is None:
            return
        store_fingerprints(image.pk, columns)
        if image.status == Status.READY:
            forget_original(image)
            image.save(update_fields=["original"])


def is_described(image: Image) -> bool:
    models = [model for name in configured_models() for model in versions.written(name)]
    return not models or _complete(models).filter(item=image.pk).exists()
