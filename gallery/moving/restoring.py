"""Import an exported gallery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors import stored_patterns
from gallery.imaging.descriptors.base import (
    COPY_VERSION,
    HASHES_VERSION,
    PIXELS_VERSION,
    ColumnsByVersion,
)
from gallery.imaging.descriptors.pdq import from_hex
from gallery.items import versions
from gallery.items.models import Image
from gallery.items.preprocessing import Hashes
from gallery.moving import archive
from gallery.moving.archive import Arrays, Manifest
from gallery.moving.exporting import FIELDS
from gallery.moving.storing import (
    MovedImage,
    MoveOutcome,
    exists_as,
    reserve_ids,
    store,
    stored_ids,
)
from gallery.shared.interrupts import interrupted_later

IMAGES_PER_BATCH: Final = 100
BY: Final = "command:import_gallery"
KEPT: Final = frozenset(FIELDS) - {"added_by", "original", "thumbnail"}
COLUMNS: Final = ("haar", "pattern", "pdq", "pdq_quality", "cnn", "clip", "local_features")
LOST: Final = "Its file is damaged or missing in the export, so it is here without it."


def kept_versions(manifest: Manifest) -> set[str]:
    """Return the versions whose vectors can be compared with those made here."""
    kept = {PIXELS_VERSION, COPY_VERSION, HASHES_VERSION}
    here = {model.version for model in versions.written("clip")}
    return kept | ({manifest.clip} & here if manifest.clip else set())


def restore(directory: Path, manifest: Manifest) -> Iterator[MoveOutcome]:
    """Store the images of an archive, one transaction for each batch. Yield an outcome for each."""
    parts = archive.whole_parts(directory, manifest)
    if parts:
        reserve_ids(Image, archive.read_items(parts[-1])[-1]["id"])
    kept = kept_versions(manifest)
    for path in parts:
        images = archive.read_items(path)
        known = stored_ids(Image, [image["md5"] for image in images])
        yield from (exists_as(i["id"], known[i["md5"]]) for i in images if i["md5"] in known)
        new = [image for image in images if image["md5"] not in known]
        vectors = _vectors(archive.read_arrays(path), kept) if new else {}
        for start in range(0, len(new), IMAGES_PER_BATCH):
            some = new[start : start + IMAGES_PER_BATCH]
            with interrupted_later():
                outcomes = store(
                    [_moved(one, vectors.get(one["id"], {}), directory, manifest) for one in some],
                    by=BY,
                )
            yield from outcomes


def _moved(
    fields: Mapping[str, Any],
    views: Mapping[str, ColumnsByVersion],
    directory: Path,
    manifest: Manifest,
) -> MovedImage:
    image = Image(**{name: fields[name] for name in KEPT})
    if not manifest.media:
        return MovedImage(image, views)
    files = {}
    for field, name in archive.media_names(fields, archive.FILES):
        path = archive.media_path(directory, name)
        data = path.read_bytes() if path.is_file() else b""
        if data and (field == "thumbnail" or Hashes.of(data).sha256 == image.sha256):
            files[field] = data
    whole = len(files) == len(list(archive.media_names(fields, archive.FILES)))
    return MovedImage(image, views, files, "" if whole else LOST)


def _vectors(arrays: Arrays, kept: set[str]) -> dict[int, dict[str, ColumnsByVersion]]:
    """Return image id → view → version → columns."""
    rows = columns_of(arrays, COLUMNS)
    found: dict[int, dict[str, dict[str, Any]]] = {}
    facts = (arrays[name].tolist() for name in ("item", "view", "version"))
    for item, view, version, columns in zip(*facts, rows, strict=True):
        if version in kept:
            found.setdefault(item, {}).setdefault(view, {})[version] = columns
    return found  # type: ignore[return-value]


def columns_of(arrays: Arrays, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return for each row of the arrays the columns that it has."""
    rows: list[dict[str, Any]] = [{} for _ in arrays["item"]]
    for name in names:
        for row, value in zip(arrays[f"{name}_rows"].tolist(), _values(arrays, name), strict=True):
            rows[row][name] = value
    return rows


def _values(arrays: Arrays, name: str) -> Sequence[Any] | NDArray[Any]:
    if name == "pdq":
        return [from_hex(row.tobytes().hex()) for row in arrays[name]]
    if name == "pdq_quality":
        return list(arrays[name].tolist())
    if name == "pattern" and "pattern_error" in arrays:
        each = zip(arrays[name], arrays["pattern_error"].tolist(), strict=True)
        return [stored_patterns.pack(codes, error) for codes, error in each]
    if name == "local_features":
        ends = np.cumsum(arrays["local_features_size"])
        return [part.tobytes() for part in np.split(arrays[name], ends[:-1])] if len(ends) else []
    return arrays[name].astype(np.float32)
