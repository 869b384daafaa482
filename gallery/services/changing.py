"""Changing what is stored: texts, quarantine and release, describing again, deleting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from gallery.errors import NotFound
from gallery.models import Image, Status
from gallery.services import describing, embedding, storing
from gallery.signals import tell, together


@transaction.atomic
def update_image(*, image_id: int, fields: Mapping[str, Any], by: str) -> Image:
    """Set data_id, remark or meta. Raises ``NotFound``."""
    image = Image.objects.select_for_update().filter(pk=image_id).first()
    if image is None:
        raise NotFound(f"There is no image {image_id}.")
    before = {name: getattr(image, name) for name in fields}
    for name, value in fields.items():
        setattr(image, name, value)
    image.save(update_fields=list(fields))
    tell(by=by, verb="updated", row=image, before=before, after=dict(fields))
    return image


@transaction.atomic
@together()
def delete_images(*, images: QuerySet[Image], by: str) -> int:
    """Delete rows, vectors and files for good. Answers how many images there were."""
    rows = list(images.select_for_update())
    for image in rows:
        storing.delete_after_commit(storing.file_names(image))
        tell(by=by, verb="deleted", row=image, before=image.status, after=None)
    Image.objects.filter(pk__in=[image.pk for image in rows]).delete()
    return len(rows)


def quarantine_images(*, images: QuerySet[Image], by: str) -> int:
    """Take ready images out of every search. Answers how many."""
    return _move(images.filter(status=Status.READY), Status.QUARANTINED, "quarantined", by)


def release_images(*, images: QuerySet[Image], by: str) -> int:
    """Let quarantined images be found again. Answers how many."""
    return _move(images.filter(status=Status.QUARANTINED), Status.READY, "released", by)


@transaction.atomic
@together()
def describe_again(*, images: QuerySet[Image], by: str) -> int:
    """Try failed images again. Answers how many were queued.

    An image whose original was not kept cannot be read again and is left as it is.
    """
    rows = list(images.filter(status=Status.FAILED).exclude(original="").select_for_update())
    for image in rows:
        image.move_to(Status.PENDING)
        image.attempts = 0
        image.save()
        tell(by=by, verb="retried", row=image, before=Status.FAILED, after=Status.PENDING)
    describing.enqueue([image.pk for image in rows])
    return len(rows)


@transaction.atomic
@together()
def _move(images: QuerySet[Image], status: Status, verb: str, by: str) -> int:
    rows = list(images.select_for_update())
    for image in rows:
        before = image.status
        image.move_to(status)
        if status == Status.READY:
            embedding.forget_original(image)
        tell(by=by, verb=verb, row=image, before=before, after=status)
    Image.objects.bulk_update(rows, ["status", "failure", "claimed_until"], batch_size=1000)
    return len(rows)
