"""Changing what is stored: texts, quarantine and release, describing again, deleting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from gallery.items import describing, embedding, file_storage, retention
from gallery.items.item import Status
from gallery.items.models import DuplicatePair, Image
from gallery.items.retention import Act
from gallery.items.signals import tell, together
from gallery.shared.errors import NotFound
from gallery.shared.locking import locked


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
def delete_images(
    *, images: QuerySet[Image], by: str, reason: str = "", override: bool = False
) -> int:
    """Delete rows, vectors and files for good. Answers how many images there were.

    ``override``: also what is withheld, for a reason. Raises ``Withheld``, and then deletes none.
    """
    rows = locked(images)
    retention.check(Image, rows, Act.DELETE, by=by, reason=reason, override=override)
    ids = [image.pk for image in rows]
    for image in rows:
        file_storage.delete_after_commit(file_storage.file_names(image))
        tell(by=by, verb="deleted", row=image, before=image.status, reason=reason)
    # A pair is of two images, which two people may delete at once.
    pairs = DuplicatePair.objects.filter(Q(a__in=ids) | Q(b__in=ids))
    list(pairs.order_by("pk").select_for_update().values_list("pk"))
    Image.objects.filter(pk__in=ids).delete()
    return len(rows)


@transaction.atomic
@together()
def quarantine_images(
    *, images: QuerySet[Image], by: str, reason: str = "", batch: int | None = None
) -> int:
    """Take ready images out of every search. Answers how many."""
    rows = locked(images.filter(status=Status.READY), no_key=True)
    return _move(rows, Status.QUARANTINED, "quarantined", by, reason, batch)


@transaction.atomic
@together()
def release_images(
    *,
    images: QuerySet[Image],
    by: str,
    reason: str = "",
    override: bool = False,
    batch: int | None = None,
) -> int:
    """Let quarantined images be found again. Answers how many.

    ``override``: also what is withheld, for a reason. Raises ``Withheld``, and releases none.
    """
    rows = locked(images.filter(status=Status.QUARANTINED), no_key=True)
    retention.check(Image, rows, Act.RELEASE, by=by, reason=reason, override=override)
    return _move(rows, Status.READY, "released", by, reason, batch)


@transaction.atomic
@together()
def describe_again(*, images: QuerySet[Image], by: str) -> int:
    """Try failed images again. Answers how many were queued.

    An image whose original was not kept cannot be read again and is left as it is.
    """
    rows = locked(images.filter(status=Status.FAILED).exclude(original=""), no_key=True)
    for image in rows:
        image.move_to(Status.PENDING)
        image.attempts = 0
        image.save()
        tell(by=by, verb="retried", row=image, before=Status.FAILED, after=Status.PENDING)
    describing.enqueue([image.pk for image in rows])
    return len(rows)


def _move(
    rows: Sequence[Image], status: Status, verb: str, by: str, reason: str, batch: int | None
) -> int:
    for image in rows:
        before = image.status
        image.move_to(status)
        if status == Status.READY:
            embedding.forget_original(image)
        tell(by=by, verb=verb, row=image, before=before, after=status, reason=reason, batch=batch)
    Image.objects.bulk_update(rows, ["status", "failure", "claimed_until"], batch_size=1000)
    return len(rows)
