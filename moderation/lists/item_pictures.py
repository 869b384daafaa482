"""Large pictures of items that were made of stored descriptors, without decoding an original."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django_q.tasks import async_task

from gallery.items.file_storage import delete_after_commit, undo_files
from gallery.items.models import Image
from gallery.shared.errors import NotFound, UserError
from moderation.lists import item_reading, list_writes
from moderation.lists.models import BannedHash, BannedItem

ITEMS_PER_TASK: Final = 50
CLUSTER: Final = "lists"

logger = logging.getLogger(__name__)


def queue(items: Sequence[BannedItem]) -> None:
    """Let a worker make the large pictures of these items, where there is an original."""
    ids = [item.pk for item in items if item.picture and item.media == BannedItem.Media.IMAGE]
    for start in range(0, len(ids), ITEMS_PER_TASK):
        some = ids[start : start + ITEMS_PER_TASK]
        async_task("moderation.tasks.enlarge_pictures", some, cluster=CLUSTER)


def enlarge(item_ids: Sequence[int]) -> int:
    """Replace thumbnails by large pictures. Returns how many. What cannot be read stays."""
    return sum(_enlarge(item) for item in BannedItem.objects.filter(pk__in=item_ids))


def _enlarge(item: BannedItem) -> bool:
    exact = BannedHash.objects.filter(item=item, kind="sha256", time_ms=None).first()
    image = exact and Image.objects.filter(sha256=exact.value).exclude(original="").first()
    if not (exact and image):
        return False
    try:
        jpeg = item_reading.large_picture(image)
    except (UserError, FileNotFoundError) as error:
        logger.warning("the picture of item %d stays small: %s", item.pk, error)
        return False
    with undo_files() as files, transaction.atomic():
        try:
            # The list may have become hash-only, which deletes its pictures, or be gone.
            list_writes.locked(item.list_id)
        except NotFound:
            return False
        same = BannedItem.objects.filter(pk=item.pk, picture=item.picture.name).exclude(picture="")
        if not same.exists():
            return False
        name = list_writes.picture_name(exact.value)
        same.update(picture=files.add(default_storage.save(name, ContentFile(jpeg))))
        delete_after_commit([item.picture.name])
    return True
