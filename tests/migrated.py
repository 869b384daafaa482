"""The database of the tests: what the migrations make, kept on disk until a source file changes."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import subprocess
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from imgsmlr_site.backup import database
from imgsmlr_site.postgres.programs import find_binaries
from tests.environment import DATA_DIR

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gallery", "imgsmlr_site", "moderation", "videos")
NAME = "test_imgsmlr"


def create(directory: Path) -> None:
    """Make the database and connect to it. A worker that comes second waits for the first one's."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = NAME
    kept = directory / sources()
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            call_command("migrate", verbosity=0)
            _keep(kept)
            return
    database.load(kept, database.server_version())
    from django.contrib.contenttypes.models import ContentType

    # Known after migrating, too. Tests count queries.
    ContentType.objects.get_for_models(*apps.get_models())


def fill(dsn: str) -> None:
    """Fill another empty database with it: a service would take four seconds to migrate it."""
    kept = DATA_DIR / "database" / sources()
    options = ("--no-owner", "--no-privileges", "--single-transaction", f"--dbname={dsn}")
    subprocess.run([find_binaries() / "pg_restore", *options, kept], check=True)


def open_connections() -> list[str]:
    """What each connection to the database asked last."""
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE datname = %s", [NAME])
        return [query for (query,) in cursor.fetchall()]


@functools.cache
def sources() -> str:
    """A digest of all that the migrations, and what they call, depend on."""
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
    for package in PACKAGES:
        for source in sorted((ROOT / package).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _keep(kept: Path) -> None:
    for outdated in kept.parent.iterdir():
        if outdated.name != "lock":
            outdated.unlink()
    part = kept.with_suffix(".part")
    with transaction.atomic():
        database.dump(database.export_snapshot(), part)
    part.rename(kept)
