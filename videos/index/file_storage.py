"""Stores originals and proxies of videos; ``gallery.items.file_storage`` stores other files."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile

from gallery.items.file_storage import require_storage
from gallery.items.preprocessing import Hashes
from gallery.net.fetching import fetch_into
from videos import conf
from videos.decode.errors import AnotherFile
from videos.models import Video


def save_original(sha256: str, file: File) -> str:
    """Store a file unchanged; a finished upload is moved. Returns its name in the storage."""
    file.seek(0)
    return default_storage.save(f"videos/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}", file)


def save_proxy(sha256: str, mp4: IO[bytes]) -> str:
    mp4.seek(0)
    name = f"proxies/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}.mp4"
    return default_storage.save(name, File(mp4))


@contextmanager
def fetched(url: str) -> Iterator[TemporaryUploadedFile]:
    """Fetch a link's file to disk, and delete it when the block ends. Raises ``FetchFailed``."""
    # The class of large uploads: the storage moves their file instead of copying it.
    with TemporaryUploadedFile("fetched", "", 0, None) as file:
        fetch_into(cast(BinaryIO, file), url, conf.fetch_policy())
        file.size = file.tell()
        file.flush()
        yield file


@contextmanager
def opened_original(video: Video) -> Iterator[Path | BinaryIO]:
    """Open the original: a path if the storage is a directory, else a stream. It is fetched again
    if it came from a link and was not kept.

    Raises ``FileNotFoundError``, ``StorageAway``, ``FetchFailed`` and ``AnotherFile``.
    """
    name = video.original.name or ""
    if not name:
        with _fetched_again(video) as place:
            yield place
        return
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        with default_storage.open(name) as stream:
            yield cast(BinaryIO, stream)
        return
    if not path.is_file():
        require_storage(name)
        raise FileNotFoundError(name)
    yield path


@contextmanager
def _fetched_again(video: Video) -> Iterator[Path]:
    if video.url is None:
        raise FileNotFoundError("the original was not kept")
    with fetched(video.url) as file:
        if Hashes.of_all(file.chunks()).sha256 != video.sha256:
            raise AnotherFile("The link leads to another file now; add that one as a new video.")
        yield Path(file.temporary_file_path())
