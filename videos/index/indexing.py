"""Indexes videos so that their frames can be searched: claim, decode, describe, store, publish.

When a worker dies, another one repeats its task. So a video is claimed by a lease, and the attempt
is counted, before its bytes are read. The lease is short and renewed with the progress, so that a
video is soon continued after a restart. All frames are stored at the end, in one transaction, so
that a repeated task never stores frames twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from gallery.items import file_storage as files_of_items
from gallery.items.item import UNREADABLE, Status
from gallery.items.publishing import passes, publish
from gallery.items.retention import may_forget
from gallery.items.signals import notify_changed
from gallery.shared import counters, leases
from gallery.shared.errors import UserError
from videos.index import file_storage
from videos.index.reading import IndexedVideo, read_video
from videos.models import Frame, ScreenedHashes, Video

CLUSTER = "video"
LEASE = timedelta(seconds=120)
PROGRESS_SECONDS = 1.0
MAX_ATTEMPTS = 3
WORKER = "worker"
INSERT_BATCH = 200
HASHES_A_ROW = 4000
SAVED = ("duration_ms", "progress", "proxy", "reindex", "reindex_failure")
"""Fields that indexing changes, besides those that publishing saves."""
DEADLY = (
    "Indexing this video ended the worker or failed three times, so it is not tried again. See the "
    "worker's log, or convert the file to MP4 (H.264) and add it again."
)
LOST = "The original is missing from the storage, so it cannot be indexed. Add the video again."
logger = logging.getLogger(__name__)


def enqueue(ids: Sequence[int]) -> None:
    """Queue a task for each video, in this transaction."""
    for pk in ids:
        async_task("videos.tasks.index_videos", [pk], cluster=CLUSTER)


def index_videos(ids: Sequence[int], *, report: Callable[[float], None] | None = None) -> int:
    """Index those of these videos that still wait. Returns how many were indexed.

    May run twice and concurrently. A bad video raises nothing; it fails with a reason.
    ``report`` is called each second with the share of the current video that is read, 0..1.
    """
    return sum(_index_claimed(video, report) for pk in ids if (video := _claim(pk)))


def index_left_over() -> int:
    """Index the oldest waiting video, whether or not it has a task. Returns how many: 0 or 1."""
    oldest = Video.objects.indexable().order_by("id").values_list("pk")
    return index_videos([pk for (pk,) in oldest[:1]])


def _claim(pk: int) -> Video | None:
    """Lease a waiting video and count the attempt, committed before any decoding."""
    taken = leases.take(Video.objects.indexable().filter(pk=pk), LEASE, progress=0)
    if not taken:
        return None
    if not taken[0].original:  # fetching it takes time and reports no progress
        leases.renew(taken[0], LEASE + timedelta(seconds=settings.VIDEO_FETCH_TIMEOUT))
    return taken[0]


def _index_claimed(video: Video, report: Callable[[float], None] | None) -> bool:
    if video.attempts > MAX_ATTEMPTS:
        _fail(video, "kills_workers", DEADLY)
        return False
    try:
        with (
            file_storage.opened_original(video) as original,
            read_video(original, _Progress(video, report), video_id=video.pk) as new,
        ):
            _finish(video, new)
    except leases.LeaseLost:
        return False
    except FileNotFoundError:
        _fail(video, "original_lost", LOST)
        return False
    except OSError:  # a full disk, say, which three attempts do not outlast
        leases.give_back(video)
        raise
    except UserError as error:
        _fail(video, error.code, error.message)
        return False
    return True


class _Progress:
    """Saves the progress of a video, at most once a second, and renews its lease."""

    def __init__(self, video: Video, report: Callable[[float], None] | None) -> None:
        self._video, self._report = video, report
        self._due = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, share: float) -> None:
        """``share`` 0..1. Raises ``LeaseLost``."""
        if time.monotonic() < self._due:
            return
        # 100 means that the video can be searched.
        leases.renew(self._video, LEASE, progress=min(99, int(100 * share)))
        if self._report is not None:
            self._report(share)
        self._due = time.monotonic() + PROGRESS_SECONDS


def _finish(video: Video, new: IndexedVideo) -> None:
    """Raises ``LeaseLost``."""
    with files_of_items.undo_files() as files, transaction.atomic():
        row = leases.locked(video)
        row.frames.all().delete()
        Frame.objects.bulk_create(
            [Frame(item=row, **asdict(frame)) for frame in new.frames], batch_size=INSERT_BATCH
        )
        row.screened_hashes.all().delete()
        ScreenedHashes.objects.bulk_create(
            ScreenedHashes(item=row, packed=new.screened[at : at + HASHES_A_ROW].tobytes())
            for at in range(0, len(new.screened), HASHES_A_ROW)
        )
        files_of_items.delete_after_commit([row.thumbnail.name, row.proxy.name])
        thumbnail = files_of_items.save_thumbnail(row.sha256, new.thumbnail)
        row.thumbnail = files.add(thumbnail)
        row.proxy = files.add(file_storage.save_proxy(row.sha256, new.proxy))
        row.duration_ms, row.progress = new.duration_ms, 100
        original = row.original.name
        if row.status == Status.PENDING:
            publish(row, by=WORKER, saved=SAVED, spare=not row.keep_original)
        else:
            _replace(row)
        if not row.original:
            files_of_items.delete_after_commit([original])


def _replace(row: Video) -> None:
    """Save an already published video with its new frames, which pass the gates again."""
    before = row.status
    row.reindex, row.reindex_failure = False, ""
    row.pictures_version = row.PICTURES_VERSION
    if row.status == Status.READY and not passes(row):
        row.move_to(Status.QUARANTINED)
    if row.status == Status.READY and not row.keep_original and may_forget(row):
        row.original = ""
    row.attempts, row.claimed_until = 0, None
    row.save()
    notify_changed(by=WORKER, verb="reindexed", row=row, before=before, after=row.status)


def _fail(video: Video, code: str, reason: str) -> None:
    with transaction.atomic():
        try:
            row = leases.locked(video)
        except leases.LeaseLost:
            return
        before = row.status
        if row.status == Status.PENDING:
            row.move_to(Status.FAILED, failure=reason)
        else:
            row.reindex, row.reindex_failure, row.progress = False, reason, 100
            row.attempts, row.claimed_until = 0, None
            if row.pictures_version < row.PICTURES_VERSION:
                row.pictures_version = UNREADABLE
        row.save()
        notify_changed(by=WORKER, verb="failed", row=row, before=before, after=row.status)
        counters.count("item_failures", "video", code)
    logger.warning("video %s failed: %s", video.pk, reason)
