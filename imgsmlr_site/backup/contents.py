"""What a backup consists of, and how its files are written, listed and verified.

A backup is a directory::

    manifest.json   versions, rows by table, last event of the audit
    SHA256SUMS      hash and path of each file below; ``sha256sum -c`` reads it
    database.dump   of pg_dump, in the custom format
    secret_key
    media/…         as in the media directory; none if the media are in a bucket
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TextIO, cast

import orjson
from django.conf import settings

from gallery.shared.errors import UserError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
DATABASE: Final = "database.dump"
SECRET_KEY: Final = "secret_key"  # noqa: S105 (a file's name)
MEDIA: Final = "media"
CHUNK: Final = 2**20


class BackupError(UserError):
    """A backup or a restore cannot be done. The message says why, and what to do."""

    code = "backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``postgresql`` and ``pg_dump`` are major versions. ``tables``: table → number of rows.
    ``audit_id`` and ``audit_digest``: the last event of the audit, if there is one. ``missing``:
    files that rows name and that were not there. ``sums``: the SHA-256 of ``SHA256SUMS``.
    ``bucket``: where the media are, "" if they are in the backup.
    """

    format: int = FORMAT
    version: str
    made_at: str
    postgresql: int
    pg_dump: int
    migrations: list[str]
    tables: dict[str, int]
    audit_id: int | None
    audit_digest: str | None
    missing: list[str]
    sums: str
    bucket: str = ""

    def write(self, directory: Path) -> None:
        with create(directory / MANIFEST) as stream:
            stream.write(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2).decode())

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Raise BackupError if there is none, or it is damaged or of another format."""
        path = directory / MANIFEST
        try:
            fields = orjson.loads(path.read_bytes())
            found = fields["format"]
            if found == FORMAT:
                return cls(**fields)
        except FileNotFoundError:
            raise BackupError(f"{directory} is no backup: it has no {MANIFEST}.") from None
        except (orjson.JSONDecodeError, TypeError, KeyError):
            raise BackupError(f"{path} is damaged: use another backup.") from None
        raise BackupError(
            f"{directory} is a backup of format {found}, and this version reads format {FORMAT}: "
            "install the version that made it."
        )


def media_bucket() -> str:
    """Return bucket and prefix of this installation's media, "" if they are in a directory."""
    options = cast(dict[str, Any], settings.STORAGES["default"]).get("OPTIONS", {})
    if "bucket_name" not in options:
        return ""
    return f"{options['bucket_name']}/{options['location']}".rstrip("/")


def create(path: Path) -> TextIO:
    """Open a new file for writing text, readable only by its owner."""
    return os.fdopen(_descriptor(path), "w")


def _descriptor(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def copy(source: Path, target: Path) -> str:
    """Copy a file to a new one that only its owner can read. Return its SHA-256 in hex."""
    digest = hashlib.sha256()
    with source.open("rb") as read, os.fdopen(_descriptor(target), "wb") as write:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            write.write(chunk)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def add_sum(sums: TextIO, digest: str, name: str) -> None:
    sums.write(f"{digest}  {name}\n")


def read_sums(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield (SHA-256, path relative to the backup) of each file."""
    with (directory / SUMS).open() as stream:
        for line in stream:
            digest, _, name = line.rstrip("\n").partition("  ")
            if not (directory / name).resolve().is_relative_to(directory.resolve()):
                raise BackupError(f"{directory / SUMS} names a file outside of the backup: {name}")
            yield digest, name


def verify(directory: Path) -> tuple[Manifest, int]:
    """Read the manifest and all files of a backup. Return the manifest and the number of bytes.

    Raise BackupError for a file that is missing or damaged.
    """
    manifest = Manifest.read(directory)
    size = 0
    try:
        if sha256_of(directory / SUMS) != manifest.sums:
            raise _damaged(directory / SUMS)
        for digest, name in read_sums(directory):
            path = directory / name
            if sha256_of(path) != digest:
                raise _damaged(path)
            size += path.stat().st_size
    except FileNotFoundError as error:
        raise BackupError(
            f"The backup is not complete: {error.filename} is missing. Use another backup."
        ) from None
    return manifest, size


def _damaged(path: Path) -> BackupError:
    return BackupError(f"{path} is damaged: its hash is not that of the backup. Use another one.")
