"""Export the published images with their vectors, in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from gallery.imaging.descriptors import stored_patterns
from gallery.imaging.descriptors.base import CNN_DIMENSIONS
from gallery.items import versions
from gallery.items.models import ClipVersion, Image, ImageDetail, ImageFingerprint
from gallery.items.signals import exported
from gallery.moving import archive
from gallery.moving.archive import Manifest
from gallery.shared.binary_copy import BIGINT, BITS_256, halfvec, read_rows, vector

IMAGES_PER_PART: Final = 1000
FIELDS: Final = (
    "id", "url", "data_id", "md5", "sha1", "sha256", "format", "width", "height", "bytes",
    "remark", "meta", "original", "thumbnail", "keep_original", "uploader", "added_by",
    "created_at", "pictures_version", "stale_at",
)  # fmt: skip
"""What is exported of an image. The import keeps all but ``added_by``."""


def count() -> int:
    return Image.objects.ready().count()


def export(directory: Path, *, media: bool, by: str) -> Iterator[int]:
    """Write the archive. Yield the number of images after each part.

    Parts that are there already are kept: so an interrupted export is resumed. Images that were
    published with a lower id in the meantime are not in it. Raises UserError.
    """
    archive.begin(directory, Manifest)
    last, total = 0, 0
    there = archive.parts(directory, Manifest.KIND)
    for path in there:
        images = archive.read_items(path)
        if media:
            for image in images:
                archive.copy_files(image, directory, archive.FILES)
        last, total = images[-1]["id"], total + len(images)
        yield len(images)
    with transaction.atomic():
        exported.send(sender=Image, by=by, count=count())
    clip, number = _clip(), len(there)
    while rows := _images_after(last):
        number, last, total = number + 1, rows[-1]["id"], total + len(rows)
        if media:
            for row in rows:
                archive.copy_files(row, directory, archive.FILES)
        arrays = _arrays([row["id"] for row in rows], clip)
        archive.write_part(archive.part_path(directory, number, Manifest.KIND), rows, arrays)
        yield len(rows)
    manifest = Manifest(
        format=Manifest.FORMAT,
        exported_at=timezone.now().isoformat(),
        images=total,
        parts=number,
        media=media,
        clip=clip.version if clip else None,
    )
    archive.write_manifest(directory, manifest)


def _clip() -> ClipVersion | None:
    return ClipVersion.objects.filter(version=versions.active() or "").first()


def _images_after(last: int) -> list[dict[str, Any]]:
    rows = Image.objects.ready().filter(pk__gt=last).order_by("id")
    return list(rows.values(*FIELDS)[:IMAGES_PER_PART])


def _arrays(ids: Sequence[int], clip: ClipVersion | None) -> dict[str, NDArray[Any]]:
    mine = ImageFingerprint.objects.filter(item__in=ids)
    others = ClipVersion.objects.exclude(version=clip.version if clip else "").values("version")
    rows = list(
        mine.exclude(version__in=others)
        .order_by("id")
        .values_list("id", "item_id", "view", "version", "pdq_quality")
    )
    index = {row[0]: number for number, row in enumerate(rows)}
    quality = [(number, row[4]) for number, row in enumerate(rows) if row[4] is not None]
    arrays: dict[str, NDArray[Any]] = {
        "item": np.array([row[1] for row in rows], np.int64),
        "view": np.array([row[2] for row in rows], np.str_),
        "version": np.array([row[3] for row in rows], np.str_),
        "pdq_quality": np.array([value for _, value in quality], np.int16),
        "pdq_quality_rows": np.array([number for number, _ in quality], np.int64),
    }
    kinds = {"haar": vector(16), "pdq": BITS_256, "cnn": halfvec(CNN_DIMENSIONS)}
    if clip is not None:
        kinds["clip"] = halfvec(clip.dimensions)
    for name, kind in kinds.items():
        add_column(arrays, name, "gallery_imagefingerprint f", kind, index)
    if clip is None:
        arrays |= {"clip": np.empty((0, 0), np.float16), "clip_rows": np.empty(0, np.int64)}
    return arrays | _patterns(index) | _local_features(index)


def add_column(
    arrays: dict[str, NDArray[Any]],
    name: str,
    source: str,
    kind: np.dtype[Any],
    index: dict[int, int],
) -> None:
    """Add a column of the rows of ``index``, id → number of the row, of those that have it."""
    found = read_rows(
        f"SELECT f.id, {name} FROM {source} WHERE f.id = ANY(%(ids)s) AND {name} IS NOT NULL "  # noqa: S608
        "ORDER BY f.id",
        {"ids": list(index)},
        {"id": BIGINT, "value": kind},
    )
    values = found["value"]["values"]
    arrays[name] = values.astype(values.dtype.newbyteorder("="))
    arrays[f"{name}_rows"] = np.array([index[pk] for pk in found["id"].tolist()], np.int64)


def _patterns(index: dict[int, int]) -> dict[str, NDArray[Any]]:
    found = _details(index, "pattern")
    codes, errors = stored_patterns.unpack([packed for _, packed in found])
    return {
        "pattern": codes,
        "pattern_error": errors,
        "pattern_rows": np.array([index[pk] for pk, _ in found], np.int64),
    }


def _local_features(index: dict[int, int]) -> dict[str, NDArray[Any]]:
    found = _details(index, "local_features")
    return {
        "local_features": np.frombuffer(b"".join(packed for _, packed in found), np.uint8),
        "local_features_size": np.array([len(packed) for _, packed in found], np.int64),
        "local_features_rows": np.array([index[pk] for pk, _ in found], np.int64),
    }


def _details(index: dict[int, int], name: str) -> list[tuple[int, bytes]]:
    rows = ImageDetail.objects.filter(pk__in=list(index)).exclude(**{name: None})
    return [(pk, bytes(packed)) for pk, packed in rows.order_by("pk").values_list("pk", name)]
