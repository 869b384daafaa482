"""Export the published videos with what search and screening read of them, in parts.

The files are beside those of images (``gallery.moving.archive``)::

    videos-manifest.json   written last
    videos-000001.jsonl    a JSON object for each video, by id
    videos-000001.npz      their frames, described below
    media/proxies/…        the small copies, without which no video can be placed exactly
    media/thumbnails/…
    media/videos/…         with --media: the originals that are kept

Each ``npz`` has one row for each stored frame: ``item`` (video id), ``t0`` and ``t1`` (ms),
``weight``, ``view`` and ``version``. The array of a column (``pdq``, ``pdq_quality``, ``cnn``) has
one row for each frame that has it; ``<column>_rows`` says which. ``screened`` holds the records of
``videos.screened.RECORD`` as bytes, one stored row after the other; ``screened_size`` and
``screened_item`` belong to these rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import CNN_DIMENSIONS
from gallery.items.signals import exported
from gallery.moving import archive
from gallery.moving.archive import BaseManifest
from gallery.moving.exporting import add_column
from gallery.shared.binary_copy import BITS_256, halfvec
from videos.models import Frame, ScreenedHashes, Video

VIDEOS_PER_PART: Final = 20
FILES: Final = ("proxy", "thumbnail")
ORIGINAL: Final = ("original",)
FIELDS: Final = (
    "id", "url", "data_id", "md5", "sha1", "sha256", "format", "width", "height", "bytes",
    "remark", "meta", "original", "thumbnail", "proxy", "keep_original", "uploader", "added_by",
    "created_at", "pictures_version", "duration_ms", "fps",
)  # fmt: skip
"""What is exported of a video, and ``proxy_sha256``. The import keeps all but ``added_by``."""


@dataclass(frozen=True, kw_only=True)
class VideoManifest(BaseManifest):
    FILE: ClassVar[str] = "videos-manifest.json"
    KIND: ClassVar[str] = "videos"
    COMMAND: ClassVar[str] = "export_videos"

    videos: int


def export(directory: Path, *, media: bool, by: str) -> Iterator[int]:
    """Write the archive. Yield the number of videos after each part.

    Parts that are there already are kept: so an interrupted export is resumed. Raises UserError.
    """
    archive.begin(directory, VideoManifest)
    last, total = 0, 0
    there = archive.parts(directory, VideoManifest.KIND)
    for path in there:
        videos = archive.read_items(path)
        for video in videos if media else ():
            archive.copy_files(video, directory, ORIGINAL)
        last, total = videos[-1]["id"], total + len(videos)
        yield len(videos)
    ready = Video.objects.ready()
    with transaction.atomic():
        exported.send(sender=Video, by=by, count=ready.count())
    number = len(there)
    while rows := list(ready.filter(pk__gt=last).order_by("id").values(*FIELDS)[:VIDEOS_PER_PART]):
        number, last, total = number + 1, rows[-1]["id"], total + len(rows)
        for row in rows:
            archive.copy_files(row, directory, (*FILES, *(ORIGINAL if media else ())))
            row["proxy_sha256"] = _sha256(directory, row["proxy"])
        arrays = _arrays([row["id"] for row in rows])
        archive.write_part(archive.part_path(directory, number, VideoManifest.KIND), rows, arrays)
        yield len(rows)
    manifest = VideoManifest(
        format=VideoManifest.FORMAT,
        exported_at=timezone.now().isoformat(),
        videos=total,
        parts=number,
        media=media,
    )
    archive.write_manifest(directory, manifest)


def _sha256(directory: Path, name: str) -> str:
    if not name:
        return ""
    with archive.media_path(directory, name).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _arrays(ids: Sequence[int]) -> dict[str, NDArray[Any]]:
    facts = ("id", "item_id", "t0", "t1", "weight", "view", "version", "pdq_quality")
    rows = list(Frame.objects.filter(item__in=ids).order_by("id").values_list(*facts))
    index = {row[0]: number for number, row in enumerate(rows)}
    quality = [(number, row[7]) for number, row in enumerate(rows) if row[7] is not None]
    arrays: dict[str, NDArray[Any]] = {
        "item": np.array([row[1] for row in rows], np.int64),
        "t0": np.array([row[2] for row in rows], np.int64),
        "t1": np.array([row[3] for row in rows], np.int64),
        "weight": np.array([row[4] for row in rows], np.float64),
        "view": np.array([row[5] for row in rows], np.str_),
        "version": np.array([row[6] for row in rows], np.str_),
        "pdq_quality": np.array([value for _, value in quality], np.int16),
        "pdq_quality_rows": np.array([number for number, _ in quality], np.int64),
    }
    for name, kind in (("pdq", BITS_256), ("cnn", halfvec(CNN_DIMENSIONS))):
        add_column(arrays, name, "videos_frame f", kind, index)
    screened = ScreenedHashes.objects.filter(item__in=ids).order_by("pk")
    packed = [(item, bytes(some)) for item, some in screened.values_list("item_id", "packed")]
    return arrays | {
        "screened": np.frombuffer(b"".join(some for _, some in packed), np.uint8),
        "screened_size": np.array([len(some) for _, some in packed], np.int64),
        "screened_item": np.array([item for item, _ in packed], np.int64),
    }
