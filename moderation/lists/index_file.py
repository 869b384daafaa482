"""An index file: columns that every process maps into memory, so they exist once.

``write`` replaces the whole file. A process keeps what it opened until it opens the path again;
``IndexFile.replaced`` says when it should. Nothing may write into the file: processes that have it
mapped could crash. This module uses neither Django nor the database.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import Unavailable

_HEADER = struct.Struct("<8sI4xQq32s")
"""Magic, format, columns, watermark, digest. After it come the lengths of the columns, and then the
columns."""
_LENGTH: Final = np.dtype("<u8")
_FORMAT: Final = 2
_DIGEST: Final = _HEADER.size - 32


class IndexUnusable(Unavailable):
    code = "index_unusable"


class IndexFile:
    """What was in the file when it was opened.

    ``columns``: an array for each of the given types. ``watermark``: the value given to ``write``.
    ``len()``: the length of the first column. Threads may share an instance. The mapping ends with
    the instance.
    """

    def __init__(self, path: Path, magic: bytes, types: Sequence[np.dtype[Any]]) -> None:
        """Open the file and verify all of it. Raises ``IndexUnusable``."""
        self.path = path
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < _HEADER.size:
                    raise _unusable(path, "is truncated")
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise _unusable(path, f"cannot be read ({error.strerror})") from error
        lengths, self.watermark = _verified(path, mapped, magic, types)
        self._identity = status.st_dev, status.st_ino
        self.columns: list[NDArray[Any]] = []
        offset = _HEADER.size + lengths.nbytes
        for kind, length in zip(types, lengths.tolist(), strict=True):
            self.columns.append(np.frombuffer(mapped, kind, length, offset))
            offset += length * kind.itemsize

    def __len__(self) -> int:
        return len(self.columns[0])

    def replaced(self) -> bool:
        """Return whether the path now leads to another file or to none."""
        try:
            status = self.path.stat()
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._identity


def write(path: Path, magic: bytes, columns: Sequence[NDArray[Any]], *, watermark: int) -> None:
    """Write columns. Replaces any old file.

    ``watermark``: what the index covers, such as the number of the last change. Writers in several
    processes take turns. The old file stays until the new one is complete on disk, even if the
    process is killed. Raises ``OSError``.
    """
    header = _HEADER.pack(magic, _FORMAT, len(columns), watermark, bytes(32))[:_DIGEST]
    lengths = np.array(list(map(len, columns)), _LENGTH)
    parts: list[bytes | memoryview] = [header, *map(_as_bytes, (lengths, *columns))]
    parts.insert(1, _digest(*parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # All writers use one name, so the unfinished file of a killed writer is overwritten.
        unfinished = path.with_name(f"{path.name}.new")
        with unfinished.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_directory(path.parent)


def _verified(
    path: Path, mapped: mmap.mmap, magic: bytes, types: Sequence[np.dtype[Any]]
) -> tuple[NDArray[np.uint64], int]:
    """Return the lengths of the columns and the watermark."""
    found, version, columns, watermark, digest = _HEADER.unpack_from(mapped)
    if found != magic:
        raise _unusable(path, "is some other file")
    if version != _FORMAT:
        raise _unusable(path, f"has format {version} instead of {_FORMAT}")
    if columns != len(types) or len(mapped) < _HEADER.size + columns * _LENGTH.itemsize:
        raise _unusable(path, "is truncated or has other columns")
    lengths = np.frombuffer(mapped, _LENGTH, columns, _HEADER.size)
    sizes = [length * kind.itemsize for length, kind in zip(lengths.tolist(), types, strict=True)]
    if len(mapped) != _HEADER.size + lengths.nbytes + sum(sizes):
        raise _unusable(path, "has another size than its columns take")
    with memoryview(mapped) as view:
        if _digest(view[:_DIGEST], view[_HEADER.size :]) != digest:
            raise _unusable(path, "is damaged: its checksum differs")
    return lengths, watermark


def _digest(*parts: bytes | memoryview) -> bytes:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.digest()


def _as_bytes(column: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(column).reshape(-1).view(np.uint8).data


def _unusable(path: Path, what: str) -> IndexUnusable:
    return IndexUnusable(f"The index {path.name} {what}; build it again.")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
