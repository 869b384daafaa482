"""Import exported videos, one transaction for each."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.core.files.base import File
from django.db import transaction

from gallery.items import file_storage as files_of_items
from gallery.items.item import Status
from gallery.items.publishing import held_of
from gallery.items.signals import batch_notifications
from gallery.moving import archive
from gallery.moving.archive import Arrays
from gallery.moving.restoring import columns_of
from gallery.moving.storing import (
    MoveOutcome,
    exists_as,
    publish_moved,
    reserve_ids,
    stored_ids,
    taken_ids,
)
from gallery.shared.interrupts import interrupted_later
from videos.index import file_storage
from videos.index.indexing import INSERT_BATCH
from videos.items.exporting import FIELDS, VideoManifest
from videos.models import FRAME_VERSION, Frame, ScreenedHashes, Video

BY: Final = "command:import_videos"
KEPT: Final = frozenset(FIELDS) - {"added_by", "original", "thumbnail", "proxy"}
COLUMNS: Final = ("pdq", "pdq_quality", "cnn")
NO_COPY: Final = "Its small copy is damaged or missing in the export: add the video again."
OTHER_VERSION: Final = "Another version of the service indexed it: add the video again."
LOST: Final = "Its original is damaged or missing in the export, so it is here without it."


def restore(directory: Path, manifest: VideoManifest) -> Iterator[MoveOutcome]:
    """Store the videos of an archive. Yield an outcome for each. Run again, it goes on."""
    parts = archive.whole_parts(directory, manifest)
    if parts:
        reserve_ids(Video, archive.read_items(parts[-1])[-1]["id"])
    for path in parts:
        videos = archive.read_items(path)
        known = stored_ids(Video, [video["md5"] for video in videos])
        new = [video for video in videos if video["md5"] not in known]
        arrays = archive.read_arrays(path) if new else {}
        frames = _frames(arrays) if new else {}
        for fields in videos:
            if fields["md5"] in known:
                yield exists_as(fields["id"], known[fields["md5"]], "video")
                continue
            own = frames.get(fields["id"], [])
            with interrupted_later():
                outcome = _store(fields, own, _screened(arrays, fields["id"]), directory, manifest)
            yield outcome


def _store(
    fields: Mapping[str, Any],
    frames: list[dict[str, Any]],
    screened: list[bytes],
    directory: Path,
    manifest: VideoManifest,
) -> MoveOutcome:
    if any(frame["version"] != FRAME_VERSION for frame in frames):
        return MoveOutcome(fields["id"], "failed", None, OTHER_VERSION)
    proxy = _whole(directory, fields["proxy"], fields["proxy_sha256"])
    if proxy is None:
        return MoveOutcome(fields["id"], "failed", None, NO_COPY)
    wanted = fields["original"] if manifest.media else ""
    original = _whole(directory, wanted, fields["sha256"])
    video = Video(**{name: fields[name] for name in KEPT}, status=Status.READY, added_by=BY)
    video.progress = 100
    if taken_ids(Video, [video.pk]):
        video.pk = None
    with files_of_items.undo_files() as files, transaction.atomic(), batch_notifications():
        video.proxy = files.add(_saved(file_storage.save_proxy, video.sha256, proxy))
        if original is not None:
            video.original = files.add(_saved(file_storage.save_original, video.sha256, original))
        thumbnail = archive.media_path(directory, fields["thumbnail"])
        if fields["thumbnail"] and thumbnail.is_file():
            name = files_of_items.save_thumbnail(video.sha256, thumbnail.read_bytes())
            video.thumbnail = files.add(name)
        video.save(force_insert=True)
        Frame.objects.bulk_create(
            [Frame(item=video, **frame) for frame in frames], batch_size=INSERT_BATCH
        )
        ScreenedHashes.objects.bulk_create(
            [ScreenedHashes(item=video, packed=packed) for packed in screened]
        )
        return publish_moved(
            video,
            fields["id"],
            note=LOST if wanted and original is None else "",
            held=bool(held_of([video])),
            by=BY,
        )


def _whole(directory: Path, name: str, sha256: str) -> Path | None:
    """Return the path of an exported file, or None if it is not there as it was exported."""
    path = archive.media_path(directory, name)
    if not name or not path.is_file():
        return None
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return path if found == sha256 else None


def _saved(save: Any, sha256: str, path: Path) -> str:
    with path.open("rb") as stream:
        return str(save(sha256, File(stream)))


def _frames(arrays: Arrays) -> dict[int, list[dict[str, Any]]]:
    """Return video id → its frames."""
    rows = columns_of(arrays, COLUMNS)
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    names = ("t0", "t1", "weight", "view", "version")
    facts = zip(*(arrays[name].tolist() for name in names), strict=True)
    for item, values, columns in zip(arrays["item"].tolist(), facts, rows, strict=True):
        found[item].append({**dict(zip(names, values, strict=True)), **columns})
    return found


def _screened(arrays: Arrays, video_id: int) -> list[bytes]:
    ends = np.cumsum(arrays["screened_size"])
    return [
        arrays["screened"][end - size : end].tobytes()
        for item, size, end in zip(
            arrays["screened_item"], arrays["screened_size"], ends, strict=True
        )
        if item == video_id
    ]
