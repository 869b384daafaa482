"""The files of an exported gallery.

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
pattern        float32 (n, 4096), shuffled and weighted: L2 is the imgsmlr distance
pdq            uint8 (n, 32)
pdq_quality    int16 (n,)
cnn            float16 (n, 512), unit length
clip           float16 (n, d), unit length
local_features uint8, all one after the other; ``local_features_size`` has the sizes
============== ====================================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gallery.shared.errors import UserError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MEDIA: Final = "media"
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """``clip``: the version of the CLIP vectors, if there are any."""

    format: int = FORMAT
    exported_at: str
    images: int
    parts: int
    media: bool
    clip: str | None


def part_path(directory: Path, number: int) -> Path:
    """Return the path of a part's JSON lines."""
    return directory / f"images-{number:06}.jsonl"


def parts(directory: Path) -> list[Path]:
    """Return the parts that are whole, in order."""
    return sorted(directory.glob("images-*.jsonl"))


def write_part(path: Path, images: list[dict[str, Any]], arrays: Arrays) -> None:
    """Write both files of a part. The JSON lines come last: with them, the part is whole."""
    vectors = path.with_suffix(".npz")
    unfinished = vectors.with_suffix(".unfinished")
    with unfinished.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    unfinished.replace(vectors)
    write_whole(path, b"".join(orjson.dumps(one) + b"\n" for one in images))


def read_images(path: Path) -> list[dict[str, Any]]:
    """Return the images of a part. Raises UserError if it is damaged."""
    try:
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path} is damaged: {error}.") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a part's vectors. Raises UserError if they cannot be read."""
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        raise UserError(f"{path.with_suffix('.npz')} cannot be read: {error}.") from error


def write_manifest(directory: Path, manifest: Manifest) -> None:
    write_whole(directory / MANIFEST, orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))


def read_manifest(directory: Path) -> Manifest:
    """Raises UserError if the export is not complete, or of another format."""
    try:
        fields = orjson.loads((directory / MANIFEST).read_bytes())
        if fields["format"] != FORMAT:
            raise UserError(f"{directory} has format {fields['format']}; {FORMAT} is read here.")
        return Manifest(**fields)
    except FileNotFoundError:
        raise UserError(
            f"{directory} has no {MANIFEST}: it is no export, or export_gallery did not finish."
        ) from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{directory / MANIFEST} is damaged.") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there. Only its owner can read it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)


def media_path(directory: Path, name: str) -> Path:
    """Return the path of a stored file. Raises UserError for one outside of the archive."""
    path = directory / MEDIA / name
    if not path.resolve().is_relative_to((directory / MEDIA).resolve()):
        raise UserError(f"{directory} names a file outside of it: {name}.")
    return path


def media_names(image: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, name) of each file of an image."""
    for field in ("original", "thumbnail"):
        if image[field]:
            yield field, image[field]
