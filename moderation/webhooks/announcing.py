"""What other services are told of images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from gallery.items.item import Status
from gallery.items.models import Image
from moderation.webhooks import outbox
from moderation.webhooks.models import WebhookEvent
from videos.models import Video

EVENTS = {Status.READY: WebhookEvent.READY, Status.FAILED: WebhookEvent.FAILED}


def items(rows: Sequence[Image | Video]) -> None:
    """Tell of those that are ready or failed now. One that is held back is nobody's news."""
    now = f"{timezone.now():%Y%m%dT%H%M%S%f}"
    news = [
        (EVENTS[Status(row.status)], f"{row._meta.model_name}:{row.pk}:{row.status}:{now}", of(row))
        for row in rows
        if row.status in EVENTS
    ]
    if news:
        outbox.tell_all(news)


def of(row: Image | Video) -> dict[str, Any]:
    """An image or a video as a message says it."""
    return {
        "kind": row._meta.model_name,
        "id": row.pk,
        "url": row.url,
        "data_id": row.data_id,
        "md5": row.md5,
        "sha256": row.sha256,
        "status": row.status,
        "failure": row.failure,
    }
