"""The one way an item becomes visible: through every gate, in the transaction that publishes.

A gate is a function named in ``settings.PUBLISHING_GATES``. It takes the described item and
answers True to let it through or False to hold it back; one that raises holds it back too, so
that a broken check never lets anything pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from gallery.models import Image, Status
from gallery.signals import changed

Gate = Callable[[Image], bool]
SAVED = ("status", "failure", "claimed_until", "attempts", "original", "thumbnail")
"""What describing and publishing change; an UPDATE of all columns costs twice as much."""
logger = logging.getLogger(__name__)


def publish(image: Image, *, by: str) -> Status:
    """Move a pending, described image to ``ready``, or to ``quarantined`` if a gate holds it.

    Call it inside the transaction that stored the description, with the row locked. Saves
    ``SAVED`` and answers the new status.
    """
    before = image.status
    # Every gate runs: each records what it finds, also when another holds the image already.
    passed = [_passes(path, image) for path in settings.PUBLISHING_GATES]
    through = all(passed)
    image.move_to(Status.READY if through else Status.QUARANTINED)
    image.attempts = 0
    image.save(update_fields=SAVED)
    changed.send(
        sender=Image, by=by, verb="published", subject=image, before=before, after=image.status
    )
    return Status(image.status)


def _passes(path: str, image: Image) -> bool:
    gate: Gate = import_string(path)
    try:
        # A savepoint: a gate that fails in SQL must not take the image's own rows with it.
        with transaction.atomic():
            return gate(image)
    except Exception:
        logger.exception("gate %s failed on image %s; it is held back", path, image.pk)
        return False
