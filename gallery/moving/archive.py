"""The files of an exported gallery. Those of videos are beside them (``videos.items.exporting``).

An archive is a directory::

    manifest.json       format, versions of the vectors, number of images; written last
    images-000001.jsonl a JSON object for each image, by id
    images-000001.npz   their vectors, described below
    images-000002.jsonl …
    media/originals/…   with --media: the files that the objects name
    media/thumbnails/…

Each ``npz`` holds one row for each fingerprint: ``item`` (image id), ``view`` and ``version``. The
array of a column has one row for each fingerprint that has it; ``<column>_rows`` says which:

============== ====================================================================
haar           float32 (n, 16), the imgsmlr signature
pattern        int16 (n, 2752), in steps of 1/2000: L2 is the imgsmlr distance
pattern_error  float64 (n,), the squared length of what the steps do not hold
pdq            uint8 (n, 32)
pdq_quality    int16 (n,)
cnn            float16 (n, 512), unit length
clip           float16 (n, d), unit length
local_features uint8, all one after the other; ``local_features_size`` has the sizes
============== ====================================================================

An archive of format 1 has ``pattern`` as float32 (n, 4096), shuffled and weighted.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Final, TypeVar
from zipfile import BadZipFile

import numpy as np
import orjson
from django.core.files.storage import default_storage
from numpy.typing import NDArray

from gallery.shared.errors import UserError

MEDIA: Final = "media"
FILES: Final = ("original", "thumbnail")
CHUNK: Final = 2**20
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class BaseManifest:
    """``FORMAT``: that which is written. ``FILE``: its name. ``KIND``: of item, in the plural.
    ``COMMAND``: what writes it."""

    FORMAT: ClassVar[int] = 1
    FILE: ClassVar[str]
    KIND: ClassVar[str]
    COMMAND: ClassVar[str]

    format: int
    exported_at: str
    parts: int
    media: bool


@dataclass(frozen=True, kw_only=True)
class Manifest(BaseManifest):
    """``clip``: the version of the CLIP vectors, if there are any."""

    FORMAT: ClassVar[int] = 2
    FILE: ClassVar[str] = "manifest.json"
    KIND: ClassVar[str] = "images"
    COMMAND: ClassVar[str] = "export_gallery"

    images: int
    clip: str | None


M = TypeVar("M", bound=BaseManifest)


def part_path(directory: Path, number: int, kind: str) -> Path:
    """Return the path of a part's JSON lines."""
    return directory / f"{kind}-{number:06}.jsonl"


def parts(directory: Path, kind: str) -> list[Path]:
    """Return the parts that are whole, in order."""
    return sorted(directory.glob(f"{kind}-*.jsonl"))


def whole_parts(directory: Path, manifest: BaseManifest) -> list[Path]:
    """Return all parts of a complete export. Raises UserError if one is missing."""
    found = parts(directory, manifest.KIND)
    if len(found) != manifest.parts:
        raise UserError(f"{directory} has {len(found)} of {manifest.parts} parts.")
    return found


def begin(directory: Path, manifest: type[BaseManifest]) -> None:
    """Make the directory. Raises UserError if it holds a complete export."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / manifest.FILE).exists():
        raise UserError(f"{directory} holds a complete export: choose another directory.")


def write_part(path: Path, items: list[dict[str, Any]], arrays: Arrays) -> None:
    """Write both files of a part. The JSON lines come last: with them, the part is whole."""
    vectors = path.with_suffix(".npz")
    unfinished = vectors.with_suffix(".unfinished")
    with unfinished.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    unfinished.replace(vectors)
    write_whole(path, b"".join(orjson.dumps(one) + b"\n" for one in items))


def read_items(path: Path) -> list[dict[str, Any]]:
    """Return the images or videos of a part. Raises UserError if it is damaged."""
    try:
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path} is damaged: {error}.") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a part's vectors. Raises UserError if they cannot be read."""
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(f"{path.with_suffix('.npz')} cannot be read: {error}.") from error


def write_manifest(directory: Path, manifest: BaseManifest) -> None:
    content = orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2)
    write_whole(directory / manifest.FILE, content)


def read_manifest(directory: Path, kind: type[M]) -> M:
    """Raises UserError if the export is not complete, or of another format."""
    try:
        fields = orjson.loads((directory / kind.FILE).read_bytes())
        if fields["format"] not in range(1, kind.FORMAT + 1):
            raise UserError(
                f"{directory} has format {fields['format']}; formats up to {kind.FORMAT} are read "
                "here."
            )
        return kind(**fields)
    except FileNotFoundError:
        raise UserError(
            f"{directory} has no {kind.FILE}: it is no export, or {kind.COMMAND} did not finish."
        ) from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{directory / kind.FILE} is damaged.") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there. Only its owner can read it."""
    copy_whole(path, io.BytesIO(content))


def copy_whole(path: Path, content: IO[bytes]) -> None:
    """Copy a stream; until all is written, the file has another name, as in ``write_whole``."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        shutil.copyfileobj(content, out, CHUNK)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)


def media_path(directory: Path, name: str) -> Path:
    """Return the path of a stored file. Raises UserError for one outside of the archive."""
    path = directory / MEDIA / name
    if not path.resolve().is_relative_to((directory / MEDIA).resolve()):
        raise UserError(f"{directory} names a file outside of it: {name}.")
    return path


def media_names(item: Mapping[str, Any], fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (field, name) of each of these files that an item has."""
    for field in fields:
        if item[field]:
            yield field, item[field]


def copy_files(row: dict[str, Any], directory: Path, fields: Sequence[str]) -> None:
    """Copy the files that are there. Of one that is lost the row names none."""
    for field, name in list(media_names(row, fields)):
        path = media_path(directory, name)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with default_storage.open(name) as stream:
                copy_whole(path, stream)
        except FileNotFoundError:
            row[field] = ""
