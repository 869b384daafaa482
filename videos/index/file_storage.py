"""Files of a video beside those that ``items.file_storage`` keeps: large ones, in pieces."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile

from gallery.items.preprocessing import Hashes
from gallery.net.fetching import fetch_into
from videos import conf
from videos.decode.errors import AnotherFile
from videos.models import Video


def save_original(sha256: str, file: File) -> str:
    """Keep a file as it came, moved here if it is a finished upload. Answers the storage name."""
    file.seek(0)
    return default_storage.save(f"videos/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}", file)


def save_proxy(sha256: str, mp4: IO[bytes]) -> str:
    """Keep a video's small copy. Answers the storage name."""
    mp4.seek(0)
    name = f"proxies/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}.mp4"
    return default_storage.save(name, File(mp4))


@contextmanager
def fetched(url: str) -> Iterator[TemporaryUploadedFile]:
    """What a link leads to, on the disk for as long as the block lasts. Raises ``FetchFailed``."""
    # What Django makes of a large upload: its file is moved into the storage, not copied.
    with TemporaryUploadedFile("fetched", "", 0, None) as file:
        fetch_into(cast(BinaryIO, file), url, conf.fetch_policy())
        file.size = file.tell()
        file.flush()
        yield file


@contextmanager
def opened_original(video: Video) -> Iterator[Path | BinaryIO]:
    """The file as it came: its place if the storage is a directory, else a stream; fetched again
    if it came from a link and was not kept.

    Raises ``FileNotFoundError``, ``FetchFailed`` and ``AnotherFile``.
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
        raise FileNotFoundError(name)
    yield path


@contextmanager
def _fetched_again(video: Video) -> Iterator[Path]:
    if video.url is None:
        raise FileNotFoundError("the original was not kept")
    with fetched(video.url) as file:
        if Hashes.of_all(file.chunks()).sha256 != video.sha256:
            raise AnotherFile("The link leads to another file now: add that one as a new video.")
        yield Path(file.temporary_file_path())
