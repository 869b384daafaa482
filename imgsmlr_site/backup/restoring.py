"""Restore a backup into an empty installation."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from gallery.search import index_feeding
from imgsmlr_site.backup import database
from imgsmlr_site.backup.contents import (
    DATABASE,
    MEDIA,
    SECRET_KEY,
    BackupError,
    Manifest,
    copy,
    media_bucket,
    read_sums,
    verify,
)
from imgsmlr_site.models import Job
from imgsmlr_site.postgres.programs import Say
from moderation.audit import trail
from moderation.audit.models import AuditEvent

TABLES_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Restored:
    """``migrated``: migrations that the backup lacked. ``key_file``: None if the environment has
    the key."""

    manifest: Manifest
    files: int
    migrated: int
    events: int
    key_file: Path | None


def restore(source: Path, say: Say) -> Restored:
    """Verify a backup, then restore it. Until its database is there, a failure changes nothing.

    Raise BackupError and PostgresError.
    """
    manifest, _ = verify(source)
    _require_known(manifest)
    _require_same_kind_of_storage(manifest)
    key_file = _key_file(source)
    with database.running(say):
        _require_empty(manifest)
        try:
            files = 0 if manifest.bucket else _restore_media(source, _media())
            database.load(source / DATABASE, manifest.pg_dump)
        except BaseException:
            if not manifest.bucket:
                shutil.rmtree(_media(), ignore_errors=True)
            raise
        if key_file is not None:
            key_file.unlink(missing_ok=True)
            copy(source / SECRET_KEY, key_file)
        _require_equal(manifest, database.count_rows())
        before = len(database.applied_migrations())
        call_command("migrate", interactive=False, verbosity=0)
        migrated = len(database.applied_migrations()) - before
        _end_backups()
        index_feeding.forget()
        return Restored(manifest, files, migrated, _verify_audit(manifest), key_file)


def _end_backups() -> None:
    """End the job that has made this backup: it was running then, and would run again."""
    running = Job.objects.filter(kind=Job.Kind.BACKUP, state__in=Job.UNFINISHED)
    running.update(
        state=Job.State.FAILED,
        failure="It was not done when the backup was made that is restored here.",
        finished_at=timezone.now(),
    )


def _require_known(manifest: Manifest) -> None:
    """Raise BackupError if a later version made the backup."""
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if unknown := [name for name in manifest.migrations if name not in known]:
        raise BackupError(
            f"Version {manifest.version} made this backup, with tables that version "
            f"{settings.VERSION} does not know ({unknown[-1]}): install the version that made it, "
            "or a later one."
        )


def _require_same_kind_of_storage(manifest: Manifest) -> None:
    if manifest.bucket and not media_bucket():
        raise BackupError(
            f"The media of this backup are in the bucket {manifest.bucket}: set MEDIA_S3_URL, to "
            "it or to a copy of it."
        )
    if media_bucket() and not manifest.bucket:
        raise BackupError(
            "This backup holds its media, and MEDIA_S3_URL is set: restore it without that, copy "
            f"{MEDIA}/ of DATA_DIR into the bucket, and set MEDIA_S3_URL then."
        )


def _key_file(source: Path) -> Path | None:
    """Return where to write the secret key. Raise BackupError if the environment has another."""
    if not os.environ.get("SECRET_KEY", "").strip():
        return Path(settings.DATA_DIR) / "secret_key"
    if (source / SECRET_KEY).read_text() != settings.SECRET_KEY:
        raise BackupError(
            "SECRET_KEY is set, and is not the key of the backup: unset it, or set it to what is "
            f"in {source / SECRET_KEY}."
        )
    return None


def _require_empty(manifest: Manifest) -> None:
    if found := database.tables():
        raise BackupError(
            f"The database is not empty: it has {len(found)} tables. Restore into a new "
            "installation, before its first start: set DATA_DIR to a new directory, or "
            "DATABASE_URL to an empty database."
        )
    if not manifest.bucket and any(path.is_file() for path in _media().rglob("*")):
        raise BackupError(
            f"{_media()} is not empty: move it away, or set DATA_DIR to another place."
        )
    if (here := database.server_version()) < manifest.postgresql:
        raise BackupError(
            f"The backup is of PostgreSQL {manifest.postgresql}, and this is PostgreSQL {here}: "
            f"use {manifest.postgresql} or later."
        )


def _media() -> Path:
    return Path(default_storage.path(""))


def _restore_media(source: Path, media: Path) -> int:
    files = 0
    for digest, path in read_sums(source):
        if path.startswith(f"{MEDIA}/"):
            name = path.removeprefix(f"{MEDIA}/")
            if copy(source / path, media / name) != digest:
                raise BackupError(f"{source / path} changed while it was restored: try again.")
            files += 1
    return files


def _require_equal(manifest: Manifest, found: dict[str, int]) -> None:
    tables = sorted(manifest.tables.keys() | found.keys())
    wrong = [name for name in tables if manifest.tables.get(name) != found.get(name)]
    if wrong:
        named = "; ".join(
            f"{name}: {found.get(name)} instead of {manifest.tables.get(name)}"
            for name in islice(wrong, TABLES_NAMED)
        )
        raise BackupError(
            f"{len(wrong)} restored tables have other numbers of rows than the backup says "
            f"({named}): do not use this installation; restore another backup."
        )


def _verify_audit(manifest: Manifest) -> int:
    """Return the number of events. Raise BackupError if the chain is broken, or ends early."""
    if broken := next(trail.find_breaks(), None):
        raise BackupError(
            f"The audit is broken at event {broken.event_id}: {broken.reason}. It was broken in "
            "the backup, too; manage.py verify_audit says where else."
        )
    if (
        manifest.audit_id is not None
        and not AuditEvent.objects.filter(
            pk=manifest.audit_id, digest=manifest.audit_digest
        ).exists()
    ):
        raise BackupError(f"The audit does not have event {manifest.audit_id} of the backup.")
    return AuditEvent.objects.count()
