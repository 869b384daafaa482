"""Index videos again: those that failed, and those that older code indexed."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from gallery.items.item import Status
from gallery.items.signals import batch_notifications, notify_changed
from gallery.shared.locking import locked
from videos.index import indexing
from videos.models import Video

HOURLY_VIDEOS = 10
"""Videos indexed by older code that are indexed again per hour."""

UPGRADE = "upgrade"
"""The actor of changes made because the code is newer."""


@transaction.atomic
@batch_notifications()
def index_again(*, items: QuerySet[Video], by: str) -> int:
    """Queue failed and indexed videos for indexing again. Return how many.

    Searches use the old frames of an indexed video until it has new ones. A video without an
    original is fetched again. Videos that are already waiting are skipped, and those with
    neither original nor link.
    """
    waiting = items.exclude(status=Status.PENDING).exclude(reindex=True)
    rows = locked(waiting.exclude(original="", url__isnull=True), no_key=True)
    for video in rows:
        before = video.status
        if video.status == Status.FAILED:
            video.move_to(Status.PENDING)
        else:
            video.reindex, video.reindex_failure = True, ""
        video.attempts, video.progress = 0, 0
        video.save()
        verb = "retried" if before == Status.FAILED else "reindexing"
        notify_changed(by=by, verb=verb, row=video, before=before, after=video.status)
    indexing.enqueue([video.pk for video in rows])
    return len(rows)


def index_older(*, by: str) -> tuple[int, int]:
    """Index all videos again that older code indexed: it kept no hashes of briefly shown pictures.

    Return how many are queued, and how many have neither file nor link and cannot be.
    """
    left = Video.objects.outdated()
    lost = left.filter(original="", url=None).count()
    return index_again(items=left, by=by), lost


def index_some_older() -> int:
    """Queue the oldest outdated videos that workers index on their own. Return how many.

    Does nothing while other videos wait for indexing.
    """
    if Video.objects.indexable().exists():
        return 0
    left = Video.objects.outdated_for_workers().filter(reindex=False)
    oldest = left.order_by("id").values_list("pk", flat=True)[:HOURLY_VIDEOS]
    return index_again(items=Video.objects.filter(pk__in=list(oldest)), by=UPGRADE)
