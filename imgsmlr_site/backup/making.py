"""Make a backup while the service runs."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one
from imgsmlr_site.backup import database
from imgsmlr_site.backup.contents import (
    DATABASE,
    MEDIA,
    SECRET_KEY,
    SUMS,
    BackupError,
    Manifest,
    add_sum,
    copy,
    create,
    media_bucket,
    sha256_of,
)
from imgsmlr_site.postgres.programs import Say
from moderation.audit import trail

Tell = Callable[[int, int], None]
HELD: Final = "backup-media"
"""Directory in ``DATA_DIR``, while a backup is made."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup, the number of its media files, and their bytes."""

    manifest: Manifest
    files: int
    size: int


def make_backup(target: Path, say: Say, tell: Tell = lambda done, total: None) -> Made:
    """Back up into a new directory. It has its name only once it is complete. ``tell`` is called
    with the number of files copied, and of all, after each.

    Raise BackupError, PostgresError, and ``Conflict`` while another backup is made.
    """
    if target.exists():
        raise BackupError(f"{target} is there already: name a new directory.")
    if not settings.DATABASE_URL and not (settings.DATA_DIR / "pg").exists():
        raise BackupError(f"There is no database in {settings.DATA_DIR}: set DATA_DIR.")
    draft = target.with_name(f"{target.name}.partial")
    with database.running(say), only_one(Lock.BACKUP, Conflict("Another backup is being made.")):
        shutil.rmtree(draft, ignore_errors=True)  # of a backup that was killed
        try:
            draft.mkdir(mode=0o700, parents=True)
            with _held_media() as held:
                made = _fill(draft, held, tell)
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return made


@contextlib.contextmanager
def _held_media() -> Iterator[Path]:
    """Link all media files into a directory that lasts for the block, so that files that are
    deleted meanwhile can still be copied.

    A file system without hard links leaves the directory empty, and so do media in a bucket.
    """
    held = Path(settings.DATA_DIR) / HELD
    shutil.rmtree(held, ignore_errors=True)  # of a backup that was killed
    held.mkdir(mode=0o700)
    try:
        # A file was deleted, or cannot be linked: it is linked or copied later, or missing.
        with contextlib.suppress(shutil.Error, FileNotFoundError, NotImplementedError):
            shutil.copytree(default_storage.path(""), held / MEDIA, copy_function=os.link)
        yield held / MEDIA
    finally:
        shutil.rmtree(held)


def _fill(draft: Path, held: Path, tell: Tell) -> Made:
    """Write all files. The transaction's snapshot is what is backed up.

    Media in a bucket stay there: storage keeps versions of its own.
    """
    with transaction.atomic(), create(draft / SUMS) as sums:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = database.export_snapshot()
        if "django_migrations" not in database.tables():
            raise BackupError("The database is empty: there is nothing to back up.")
        # Files that are newer than the links, before the dump takes its time.
        total = 0
        for name in _files_to_copy():
            _hold(name, held)
            total += 1
        last = trail.last_event()
        pg_dump = database.dump(snapshot, draft / DATABASE)
        add_sum(sums, sha256_of(draft / DATABASE), DATABASE)
        with create(draft / SECRET_KEY) as stream:
            stream.write(settings.SECRET_KEY)
        add_sum(sums, sha256_of(draft / SECRET_KEY), SECRET_KEY)
        files = size = 0
        missing = []
        for name in _files_to_copy():
            path = f"{MEDIA}/{name}"
            source = held / name
            if not source.exists():
                source = Path(default_storage.path(name))
            try:
                add_sum(sums, copy(source, draft / path), path)
            except FileNotFoundError:
                missing.append(name)
            else:
                files += 1
                size += (draft / path).stat().st_size
            tell(files + len(missing), total)
        sums.flush()
        manifest = Manifest(
            version=settings.VERSION,
            made_at=timezone.now().isoformat(timespec="seconds"),
            postgresql=database.server_version(),
            pg_dump=pg_dump,
            migrations=database.applied_migrations(),
            tables=database.count_rows(),
            audit_id=last.pk if last else None,
            audit_digest=last.digest if last else None,
            missing=missing,
            sums=sha256_of(draft / SUMS),
            bucket=media_bucket(),
        )
    manifest.write(draft)
    return Made(manifest, files, size)


def _files_to_copy() -> Iterator[str]:
    return iter(()) if media_bucket() else database.named_files()


def _hold(name: str, held: Path) -> None:
    link = held / name
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(default_storage.path(name), link)
