"""Store an item's files: the original, and the thumbnail that we encode.

File names end in a random token. So deleting a row's file never deletes the file of the same
picture if it was added again.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterable
from pathlib import Path

from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import FileField

from gallery.imaging.pixels import Pixels
from gallery.items.item import Item
from gallery.items.models import Image
from gallery.shared.errors import StorageAway
from gallery.shared.jpeg import decode_jpeg

logger = logging.getLogger(__name__)


def save_original(sha256: str, data: bytes) -> str:
    return _save(f"originals/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}", data)


def read_original(image: Image) -> bytes:
    """Return the unchanged bytes. Raises ``FileNotFoundError`` and ``StorageAway``."""
    name = image.original.name or ""
    try:
        with default_storage.open(name) as stream:
            content: bytes = stream.read()
    except FileNotFoundError:
        require_storage(name)
        raise
    return content


def require_storage(missing: str) -> None:
    """Raise ``StorageAway`` if the directory of a missing file is missing too.

    Directories are never removed. Storages without directories have errors of their own.
    """
    with contextlib.suppress(NotImplementedError):
        if missing and not Path(default_storage.path(missing)).parent.is_dir():
            raise StorageAway


def save_thumbnail(sha256: str, jpeg: bytes) -> str:
    return _save(f"thumbnails/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}.jpg", jpeg)


def thumbnail_rgb(image: Image) -> Pixels | None:
    """Return the pixels; None if there is no thumbnail, or if it is damaged."""
    try:
        with image.thumbnail.open() as stream:
            data = stream.read()
    except (FileNotFoundError, ValueError):
        return None
    # The service wrote it, so no decoder in a process of its own has to read it.
    return decode_jpeg(data)


def delete_after_commit(names: Iterable[str | None]) -> None:
    doomed = [name for name in names if name]
    if doomed:
        transaction.on_commit(lambda: _delete(doomed))


class undo_files:
    """Context manager that deletes the added files if the block fails.

    Put it around the transaction. If the connection is lost or the thread is interrupted, the
    database may have committed all the same. The files then stay, and ``orphans`` removes those
    that no row names.
    """

    def __init__(self) -> None:
        self._names: list[str] = []

    def add(self, name: str) -> str:
        self._names.append(name)
        return name

    def __enter__(self) -> undo_files:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, OperationalError | InterfaceError):
            return
        if issubclass(kind, Exception):
            _delete(self._names)


def file_fields(item: Item) -> list[str]:
    return [field.attname for field in item._meta.fields if isinstance(field, FileField)]


def file_names(item: Item) -> list[str]:
    return [name for field in file_fields(item) if (name := getattr(item, field).name)]


def file_columns() -> list[tuple[str, str]]:
    """Return (table, column) of each column of all models that names files."""
    return [
        (model._meta.db_table, str(field.column))
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, FileField)
    ]


def _save(name: str, data: bytes) -> str:
    return default_storage.save(name, ContentFile(data))


def _delete(names: Iterable[str]) -> None:
    for name in names:
        try:
            default_storage.delete(name)
        except StorageAway as error:
            # What was done stays done: no row names the file, so ``orphans`` removes it later.
            logger.error("%s is not deleted yet: %s", name, error)
