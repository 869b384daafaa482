"""Files in a bucket of storage that speaks S3, for services that run on several hosts.

Nobody gets a link into the bucket: each read goes through a view, which checks status and role.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from django.core.files.base import File
from django.utils.crypto import get_random_string
from storages.backends.s3 import S3Storage

from gallery.shared.errors import StorageAway

FIRST_BLOCK: Final = 2**20
"""Bytes of the first request for an object. Few pictures need a second one."""
LARGEST_BLOCK: Final = 8 * 2**20
"""Bytes of a request while a file is read on and on."""
CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 3},
    # What all servers understand: the bucket in the path, and no checksums of newer kinds.
    s3={"addressing_style": "path"},
    signature_version="s3v4",
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
NO_ANSWER: Final = "The storage of the service's files does not answer: try again in some seconds."
REFUSAL: Final = (
    "The storage of the service's files refuses requests ({code}): check MEDIA_S3_URL, and what "
    "its key may do."
)
NO_FILES: Final = (
    "The bucket of the service's files has none of them: check bucket and prefix of MEDIA_S3_URL."
)


class ObjectStorage(S3Storage):
    """Raises ``StorageAway`` for whatever is no fault of one file.

    A file counts as missing only if the bucket has others.
    """

    def __init__(self, **options: Any) -> None:
        # Threads for the parts of one file would be ten for each thread of the web server.
        parts = TransferConfig(use_threads=False)
        super().__init__(client_config=CONFIG, transfer_config=parts, **options)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Return a new name without asking: another host could take a free one meanwhile."""
        directory, _, last = name.rpartition("/")
        root, dot, extension = last.partition(".")
        return f"{directory}/{root}_{get_random_string(7)}{dot}{extension}".lstrip("/")

    def _open(self, name: str, mode: str = "rb") -> File:
        """Open for reading. Raises ``FileNotFoundError``."""
        if not name:
            raise FileNotFoundError(name)
        return StoredFile(lambda: ObjectFile(self, self._normalize_name(name)), name)

    def _save(self, name: str, content: File) -> str:
        with self.errors():
            return str(super()._save(name, content))

    def delete(self, name: str) -> None:
        with self.errors():
            super().delete(name)

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        with self.errors():
            return int(super().size(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with self.errors():
            directories, files = super().listdir(path)
        return directories, files

    def get_created_time(self, name: str) -> datetime:
        """An object is never written again."""
        with self.errors():
            modified: datetime = self.get_modified_time(name)
        return modified

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of requests into ``FileNotFoundError`` and ``StorageAway``."""
        try:
            with _outages():
                yield
        except FileNotFoundError:
            # Another bucket, or an emptied one, must not look as if one file were lost.
            with _outages():
                found = self.connection.meta.client.list_objects_v2(
                    Bucket=self.bucket_name, Prefix=self._normalize_name(""), MaxKeys=1
                )
            if not found["KeyCount"]:
                raise StorageAway(NO_FILES) from None
            raise


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("NoSuchKey", "404") and error.operation_name != "ListObjectsV2":
            raise FileNotFoundError(str(error)) from error
        away = error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        raise StorageAway(NO_ANSWER if away else REFUSAL.format(code=code)) from error
    except (HTTPClientError, NoConnection) as error:
        raise StorageAway(NO_ANSWER) from error
    except BotoCoreError as error:  # such as no credentials
        raise StorageAway(REFUSAL.format(code=type(error).__name__)) from error


class StoredFile(File):
    """As Django's file of a directory, it can be opened again after it was closed."""

    def __init__(self, fetch: Callable[[], ObjectFile], name: str) -> None:
        self._fetch = fetch
        super().__init__(io.BufferedReader(fetch()), name)

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> StoredFile:
        if self.closed:
            self.file = io.BufferedReader(self._fetch())
        self.seek(0)
        return self


class ObjectFile(io.RawIOBase):
    """Reads an object by ranges: a block at first, larger ones while it is read on and on."""

    def __init__(self, storage: ObjectStorage, key: str) -> None:
        self._storage, self._key = storage, key
        self._at = self._start = self.size = 0
        self._length = FIRST_BLOCK
        self._block = self._fetch(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self.size:
            return 0
        end = self._start + len(self._block)
        if not self._start <= self._at < end:
            self._length = min(2 * self._length, LARGEST_BLOCK) if self._at == end else FIRST_BLOCK
            self._block, self._start = self._fetch(self._at), self._at
        data = memoryview(self._block)[self._at - self._start :][: len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fetch(self, start: int) -> bytes:
        """Return a block, and note the size of the object."""
        with self._storage.errors():
            try:
                answer = self._storage.connection.meta.client.get_object(
                    Bucket=self._storage.bucket_name,
                    Key=self._key,
                    Range=f"bytes={start}-{start + self._length - 1}",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidRange":  # of an empty object
                    return b""
                raise
            data: bytes = answer["Body"].read()
        self.size = int(answer["ContentRange"].rpartition("/")[2])
        return data
