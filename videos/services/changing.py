"""Changing what is stored: texts, quarantine and release, indexing again, deleting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from gallery.errors import NotFound
from gallery.items import Status
from gallery.services import storing as files_of_items
from gallery.signals import tell, together
from videos.models import Video
from videos.services import indexing


@transaction.atomic
def update_video(*, video_id: int, fields: Mapping[str, Any], by: str) -> Video:
    """Set data_id, remark or meta. Raises ``NotFound``."""
    video = Video.objects.select_for_update().filter(pk=video_id).first()
    if video is None:
        raise NotFound(f"There is no video {video_id}.")
    before = {name: getattr(video, name) for name in fields}
    for name, value in fields.items():
        setattr(video, name, value)
    video.save(update_fields=list(fields))
    tell(by=by, verb="updated", row=video, before=before, after=dict(fields))
    return video


@transaction.atomic
@together()
def delete_videos(*, videos: QuerySet[Video], by: str) -> int:
    """Delete rows, frames and files for good, also while one is indexed. Answers how many."""
    rows = list(videos.select_for_update())
    for video in rows:
        files_of_items.delete_after_commit(files_of_items.file_names(video))
        tell(by=by, verb="deleted", row=video, before=video.status, after=None)
    Video.objects.filter(pk__in=[video.pk for video in rows]).delete()
    return len(rows)


def quarantine_videos(*, videos: QuerySet[Video], by: str) -> int:
    """Take ready videos out of every search. Answers how many."""
    return _move(videos.filter(status=Status.READY), Status.QUARANTINED, "quarantined", by)


def release_videos(*, videos: QuerySet[Video], by: str) -> int:
    """Let quarantined videos be found again. Answers how many."""
    return _move(videos.filter(status=Status.QUARANTINED), Status.READY, "released", by)


@transaction.atomic
@together()
def index_again(*, videos: QuerySet[Video], by: str) -> int:
    """Try failed videos again, and index those anew that are indexed. Answers how many.

    An indexed one is found by its old frames until it has new ones. A video whose original was
    not kept is fetched again; without a link it is left as it is, as is one that waits already.
    """
    waiting = videos.exclude(status=Status.PENDING).exclude(reindex=True)
    rows = list(waiting.exclude(original="", url__isnull=True).select_for_update())
    for video in rows:
        before = video.status
        if video.status == Status.FAILED:
            video.move_to(Status.PENDING)
        else:
            video.reindex, video.reindex_failure = True, ""
        video.attempts, video.progress = 0, 0
        video.save()
        verb = "retried" if before == Status.FAILED else "reindexing"
        tell(by=by, verb=verb, row=video, before=before, after=video.status)
    indexing.enqueue([video.pk for video in rows])
    return len(rows)


@transaction.atomic
@together()
def _move(videos: QuerySet[Video], status: Status, verb: str, by: str) -> int:
    rows = list(videos.select_for_update())
    for video in rows:
        before, lease = video.status, video.claimed_until
        video.move_to(status)
        # Its frames may be made anew at this moment.
        video.claimed_until = lease
        if status == Status.READY and not video.keep_original and not video.reindex:
            files_of_items.delete_after_commit([video.original.name])
            video.original = ""
        tell(by=by, verb=verb, row=video, before=before, after=status)
    Video.objects.bulk_update(rows, ["status", "failure", "original"], batch_size=1000)
    return len(rows)
