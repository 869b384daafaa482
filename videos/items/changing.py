"""Changing what is stored: texts, quarantine and release, indexing again, deleting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from gallery.items import file_storage as files_of_items
from gallery.items import retention
from gallery.items.item import Status
from gallery.items.retention import Act
from gallery.items.signals import tell, together
from gallery.shared.errors import NotFound
from gallery.shared.locking import locked
from videos.index import indexing
from videos.models import Video

OLDER = 10
"""Videos of older code that are indexed anew in an hour."""

UPGRADE = "upgrade"
"""The actor of what is done because the code is newer."""


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
def delete_videos(
    *, videos: QuerySet[Video], by: str, reason: str = "", override: bool = False
) -> int:
    """Delete rows, frames and files for good, also while one is indexed. Answers how many.

    ``override``: also what is withheld, for a reason. Raises ``Withheld``, and then deletes none.
    """
    rows = locked(videos)
    retention.check(Video, rows, Act.DELETE, by=by, reason=reason, override=override)
    for video in rows:
        files_of_items.delete_after_commit(files_of_items.file_names(video))
        tell(by=by, verb="deleted", row=video, before=video.status, reason=reason)
    Video.objects.filter(pk__in=[video.pk for video in rows]).delete()
    return len(rows)


@transaction.atomic
@together()
def quarantine_videos(
    *, videos: QuerySet[Video], by: str, reason: str = "", batch: int | None = None
) -> int:
    """Take ready videos out of every search. Answers how many."""
    rows = locked(videos.filter(status=Status.READY), no_key=True)
    return _move(rows, Status.QUARANTINED, "quarantined", by, reason, batch)


@transaction.atomic
@together()
def release_videos(
    *,
    videos: QuerySet[Video],
    by: str,
    reason: str = "",
    override: bool = False,
    batch: int | None = None,
) -> int:
    """Let quarantined videos be found again. Answers how many.

    ``override``: also what is withheld, for a reason. Raises ``Withheld``, and releases none.
    """
    rows = locked(videos.filter(status=Status.QUARANTINED), no_key=True)
    retention.check(Video, rows, Act.RELEASE, by=by, reason=reason, override=override)
    return _move(rows, Status.READY, "released", by, reason, batch)


@transaction.atomic
@together()
def index_again(*, videos: QuerySet[Video], by: str) -> int:
    """Try failed videos again, and index those anew that are indexed. Answers how many.

    An indexed one is found by its old frames until it has new ones. A video whose original was
    not kept is fetched again; without a link it is left as it is, as is one that waits already.
    """
    waiting = videos.exclude(status=Status.PENDING).exclude(reindex=True)
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
        tell(by=by, verb=verb, row=video, before=before, after=video.status)
    indexing.enqueue([video.pk for video in rows])
    return len(rows)


def index_older(*, by: str) -> tuple[int, int]:
    """Index all those anew that older code indexed: it kept no hashes of what is shown briefly.

    Answers how many will be, and how many cannot: of those neither a file nor a link is left.
    """
    left = Video.objects.not_looked_through()
    lost = left.filter(original="", url=None).count()
    return index_again(videos=left, by=by), lost


def index_some_older() -> int:
    """The oldest of those that are left to workers. Answers how many.

    None while other videos wait for their indexing.
    """
    if Video.objects.indexable().exists():
        return 0
    left = Video.objects.left_to_workers().filter(reindex=False)
    oldest = left.order_by("id").values_list("pk", flat=True)[:OLDER]
    return index_again(videos=Video.objects.filter(pk__in=list(oldest)), by=UPGRADE)


def _move(
    rows: Sequence[Video], status: Status, verb: str, by: str, reason: str, batch: int | None
) -> int:
    for video in rows:
        before, lease = video.status, video.claimed_until
        video.move_to(status)
        # Its frames may be made anew at this moment.
        video.claimed_until = lease
        if status == Status.READY and not video.reindex:
            indexing.forget_original(video)
        tell(by=by, verb=verb, row=video, before=before, after=status, reason=reason, batch=batch)
    Video.objects.bulk_update(rows, ["status", "failure", "original"], batch_size=1000)
    return len(rows)
