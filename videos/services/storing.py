"""Files of a video beside those that ``gallery.services.storing`` keeps: large ones, in pieces."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage

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
def opened_original(video: Video) -> Iterator[Path | BinaryIO]:
    """The file as it came: its place if the storage is a directory, else a stream.

    Raises ``FileNotFoundError``.
    """
    name = video.original.name or ""
    if not name:
        raise FileNotFoundError("the original was not kept")
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        with default_storage.open(name) as stream:
            yield cast(BinaryIO, stream)
        return
    if not path.is_file():
        raise FileNotFoundError(name)
    yield path
