"""Start a job, and run it in a worker with progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from gallery.duplicates import scan
from gallery.duplicates.clusters import find_groups
from gallery.shared import readable
from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import Lock, only_one
from imgsmlr_site.backup.making import make_backup
from imgsmlr_site.models import Job
from moderation.access.permissions import Actor
from moderation.audit import trail

CLUSTER: Final = "lists"
TASK_SECONDS: Final = 900.0
"""A search for duplicates that takes longer continues in another task, so that others can run."""
BACKUP_SECONDS: Final = 24 * 3600
"""A backup that takes longer is ended."""
TELL_EVERY: Final = 1.0

Kind, State = Job.Kind, Job.State
logger = logging.getLogger(__name__)


def start(*, by: Actor, kind: str, restart: bool = False) -> Job:
    """Queue a job. ``restart``: a search for duplicates compares all images again.

    Raise ``Conflict`` if one of the kind waits or runs.
    """
    try:
        with transaction.atomic():
            job = Job.objects.create(kind=kind, restart=restart, asked_by=by.name)
            _queue(job)
            trail.record(
                by=by.name,
                verb=f"{kind}.started",
                subject=job,
                after={"restart": restart},
            )
    except IntegrityError:
        raise Conflict(f"{Kind(kind).label}: this waits or runs already.") from None
    return job


def run(job_id: int) -> str:
    """Run a job, or continue it. Return its state."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None or job.state not in Job.UNFINISHED:
        return "gone"
    _save(job, state=State.RUNNING)
    try:
        result = RUNNERS[job.kind](job)
    except UserError as error:
        _save(job, state=State.FAILED, failure=error.message, finished_at=timezone.now())
    except OSError as error:
        failure = f"{error.filename}: {error.strerror}."
        _save(job, state=State.FAILED, failure=failure, finished_at=timezone.now())
    else:
        if result:
            _save(job, state=State.DONE, result=result, finished_at=timezone.now())
        else:
            _queue(job)
    return job.state


def _queue(job: Job) -> None:
    timeout = {"timeout": BACKUP_SECONDS} if job.kind == Kind.BACKUP else {}
    with transaction.atomic():
        async_task("imgsmlr_site.tasks.run_job", job.pk, cluster=CLUSTER, **timeout)


def _save(job: Job, **values: Any) -> None:
    Job.objects.filter(pk=job.pk).update(**values)
    for name, value in values.items():
        setattr(job, name, value)


def _find_duplicates(job: Job) -> str:
    """Return the result, or "" if another task has to continue."""
    with only_one(Lock.DUPLICATES, Conflict("Another search for duplicates is running.")):
        found = scan.start_run(min_confidence=None, restart=job.restart)
        ids = list(scan.unscanned_images().values_list("pk", flat=True))
        _save(job, restart=False, total=job.done + len(ids))
        until = time.monotonic() + TASK_SECONDS
        for batch in scan.scan_here(found, ids):
            _save(job, done=job.done + len(batch))
            if time.monotonic() > until:
                return ""
    groups = find_groups()
    images = sum(len(group.ids) for group in groups)
    clusters = f"{len(groups):,} cluster{'' if len(groups) == 1 else 's'}"
    said = f"{job.done:,} images compared. {clusters} of {images:,} images."
    if waiting := scan.undescribed():
        said += f" {waiting:,} images wait for the descriptor that this compares."
    return said


def _back_up(job: Job) -> str:
    now = timezone.localtime()
    target = settings.BACKUP_DIR / f"{now:%Y-%m-%dT%H-%M-%S}"
    # The backup reads in a transaction of its own, which cannot write how far it is.
    with closing(connection.copy()) as beside:
        told = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told < TELL_EVERY:
                return
            told = time.monotonic()
            with beside.cursor() as cursor:
                cursor.execute(
                    "UPDATE imgsmlr_site_job SET done = %s, total = %s WHERE id = %s",
                    [done, total, job.pk],
                )

        made = make_backup(target, logger.info, tell)
    files = made.files + len(made.manifest.missing)
    _save(job, done=files, total=files)
    said = f"{target}: {made.files:,} files, {readable.size(made.size)}."
    if bucket := made.manifest.bucket:
        said += f" The media are not in it: they are in the bucket {bucket}."
    if made.manifest.audit_digest:
        said += f" The audit's last digest is {made.manifest.audit_digest}."
    if missing := made.manifest.missing:
        said += f" {len(missing):,} files that rows name were not there; manifest.json lists them."
    return said


RUNNERS: Final[Mapping[str, Callable[[Job], str]]] = {
    Kind.DUPLICATES: _find_duplicates,
    Kind.BACKUP: _back_up,
}
