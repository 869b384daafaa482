"""A backup of a service that goes on, restored into another DATA_DIR by a real process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg2
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from gallery.items import changing
from gallery.items.models import Image
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one
from imgsmlr_site.backup import database, making, restoring
from imgsmlr_site.backup.contents import BackupError, Manifest, read_sums
from imgsmlr_site.models import Job
from imgsmlr_site.postgres.cluster import forget_cluster
from imgsmlr_site.postgres.server import EmbeddedPostgres
from moderation.audit.models import AuditEvent
from moderation.webhooks.models import Webhook
from tests.factories import BY, add_ready_image, photo
from tests.service import ROOT, environment, make_directory
from tests.site.test_embedded_postgres import QUIET

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def second() -> Iterator[Path]:
    """The DATA_DIR of another installation."""
    directory = make_directory()
    yield directory
    forget_cluster(directory)
    shutil.rmtree(directory)


def manage(data_dir: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment(data_dir, **env),
        capture_output=True,
        text=True,
        timeout=120,
    )


def elsewhere(act: Callable[[], object]) -> None:
    """Run it on a connection of its own, as another process would."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.slow
def test_round_trip(
    second: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, deleted, lost = (add_ready_image(photo(seed)) for seed in (1, 2, 3))
    Webhook.objects.create(name="hook", url="https://a.test/", secret="s3cret", events=["verdict"])
    Job.objects.create(kind=Job.Kind.BACKUP, state=Job.State.RUNNING, asked_by="user:root")
    Path(lost.original.path).unlink()
    content = Path(deleted.original.path).read_bytes()
    events = AuditEvent.objects.count()
    dump = database.dump

    def delete_then_dump(*args: Any) -> int:
        """What a client does between the snapshot and the copies of the files."""

        def act() -> None:
            changing.delete_items(items=Image.objects.filter(pk=deleted.pk), by=BY)
            add_ready_image(photo(4))

        elsewhere(act)
        return dump(*args)

    monkeypatch.setattr(database, "dump", delete_then_dump)
    first = tmp_path / "first"
    made = making.make_backup(first, print)
    assert not Path(deleted.original.path).exists()

    # The backup is as of the snapshot, with the file that was deleted meanwhile.
    assert made.manifest.tables["gallery_image"] == 3
    assert (first / "media" / deleted.original.name).read_bytes() == content
    assert made.manifest.missing == [lost.original.name]
    assert made.files == 5
    assert made.manifest.audit_id == AuditEvent.objects.order_by("id")[events - 1].pk
    assert AuditEvent.objects.count() > events
    assert not (settings.DATA_DIR / making.HELD).exists()
    assert first.stat().st_mode & 0o777 == 0o700
    for path in first.rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o600
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=first, check=True)

    # Another installation gets all of it.
    done = manage(second, "restore", str(first))
    assert done.returncode == 0, done.stderr
    assert "5 files: all hashes are right." in done.stdout
    assert f"{events} events of the audit are intact." in done.stdout
    assert "1 files that rows name were missing" in done.stderr
    assert (second / "secret_key").read_text() == settings.SECRET_KEY
    assert (second / "media" / kept.original.name).read_bytes() == (
        Path(kept.original.path).read_bytes()
    )
    with EmbeddedPostgres(second, QUIET) as server:
        found = psycopg2.connect(server.dsn, **server.settings["OPTIONS"])
        with found, found.cursor() as cursor:
            cursor.execute("SELECT md5 FROM gallery_image ORDER BY id")
            assert cursor.fetchall() == [(image.md5,) for image in (kept, deleted, lost)]
            cursor.execute("SELECT state FROM imgsmlr_site_job")
            assert cursor.fetchall() == [("failed",)], "it does not run again here"
            cursor.execute("SELECT secret FROM moderation_webhook")
            assert cursor.fetchall() == [("s3cret",)]
            cursor.execute("SELECT count(*) FROM gallery_imagefingerprint WHERE pdq IS NOT NULL")
            assert cursor.fetchone()[0] >= 3  # type: ignore[index]
        found.close()

    # A second time it is refused, and changes nothing.
    again = manage(second, "restore", str(first))
    assert again.returncode == 1
    assert "The database is not empty" in again.stderr

    # A stopped service is backed up as well, with the same rows and files.
    done = manage(second, "backup", str(tmp_path / "second"))
    assert done.returncode == 0, done.stderr
    manifest = Manifest.read(tmp_path / "second")
    assert manifest.tables == made.manifest.tables
    assert manifest.audit_digest == made.manifest.audit_digest
    media = [
        sorted(each for each in read_sums(tmp_path / name) if each[1].startswith("media/"))
        for name in ("first", "second")
    ]
    assert media[0] == media[1]


@pytest.fixture
def backup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    add_ready_image()
    call_command("backup", str(tmp_path / "backup"))
    assert "2 files" in capsys.readouterr().out
    return tmp_path / "backup"


def test_refusals(backup: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Each says what to do, and none touches the target."""

    def refusal() -> str:
        with pytest.raises(CommandError) as raised:
            call_command("restore", str(backup))
        return str(raised.value)

    assert "The database is not empty: it has" in refusal()
    with pytest.raises(CommandError, match="is there already"):
        call_command("backup", str(backup))

    monkeypatch.setenv("SECRET_KEY", "another")
    settings.SECRET_KEY = "another"
    assert refusal().startswith("SECRET_KEY is set, and is not the key of the backup")

    manifest = orjson.loads((backup / "manifest.json").read_bytes())
    newer = [*manifest["migrations"], "gallery.0999_later"]
    for change, sentence in (
        ({"format": 9}, "is a backup of format 9, and this version reads format 1"),
        ({"migrations": newer, "version": "9.0"}, "Version 9.0 made this backup"),
        ({"sums": "0" * 64}, "SHA256SUMS is damaged"),
        ({"other": 1}, "manifest.json is damaged"),
    ):
        (backup / "manifest.json").write_bytes(orjson.dumps({**manifest, **change}))
        assert sentence in refusal()
    (backup / "manifest.json").write_bytes(orjson.dumps(manifest))

    picture = next((backup / "media").rglob("*.jpg"))
    data = picture.read_bytes()
    picture.write_bytes(data[:-1] + b"x")
    assert f"{picture} is damaged" in refusal()
    picture.unlink()
    assert f"{picture} is missing" in refusal()
    picture.write_bytes(data)
    call_command("restore", str(backup), "--check")
    (backup / "manifest.json").unlink()
    assert "is no backup" in refusal()


def test_no_second_backup_at_once(tmp_path: Path) -> None:
    refused: list[str] = []

    def act() -> None:
        with pytest.raises(Conflict) as raised:
            making.make_backup(tmp_path / "backup", print)
        refused.append(raised.value.message)

    with only_one(Lock.BACKUP, Conflict("")):
        elsewhere(act)
    assert refused == ["Another backup is being made."]
    assert list(tmp_path.iterdir()) == []


def test_a_restore_that_fails_leaves_nothing(
    backup: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MEDIA_ROOT = settings.MEDIA_ROOT / "empty"
    monkeypatch.setattr(restoring, "_require_empty", lambda manifest: None)
    with pytest.raises(BackupError, match=r"pg_restore failed: .* already exists"):
        restoring.restore(backup, print)
    assert not settings.MEDIA_ROOT.exists()
    assert Image.objects.count() == 1
