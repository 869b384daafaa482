"""Add videos: receive or fetch, probe, hash; store row, file and task in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Unpack, cast

from django.core.files.base import File
from django.db import transaction

from gallery.items import file_storage as files_of_items
from gallery.items.inserting import ItemFields, insert, new_item, refuse_existing
from gallery.items.preprocessing import Hashes
from gallery.items.signals import notify_changed
from gallery.shared.backlog import refuse_if_full
from gallery.shared.errors import UserError
from videos import conf
from videos.decode.decoder_protocol import VideoInfo
from videos.decode.decoding import decode
from videos.decode.errors import NotAVideo
from videos.index import file_storage, indexing
from videos.models import Video

PROBE_SIDE = 64
SINGLE_PICTURE = "The file shows a single picture; add it as an image."


def add_video(
    *,
    by: str,
    url: str | None = None,
    file: File | None = None,
    **fields: Unpack[ItemFields],
) -> Video:
    """Add one video from ``url``, or from ``file`` (then ``url`` is only stored).

    The new row is ``pending`` and its indexing is queued. Its first frames are decoded before
    this returns: a file that is no video is refused here; later damage fails in the worker.

    Raises ``FetchFailed``, ``NotAVideo``, ``VideoTooLarge``, ``VideoTooSlow``, and
    ``AlreadyStored`` for bytes that are stored already. A failed video with the same bytes is
    tried again instead. Raises ``BacklogFull`` while the workers are too far behind.
    """
    refuse_if_full(("video",))
    with _received(url, file) as (received, fetched):
        info = _probe(received)
        hashes = Hashes.of_all(received.chunks())
        refuse_existing(Video, hashes.md5)
        video = new_item(
            Video,
            hashes,
            {**fields, "url": url},
            by=by,
            fetched=fetched,
            format=info.container,
            width=info.width,
            height=info.height,
            fps=info.fps,
            bytes=received.size,
        )
        return _store(video, received, by=by)


@contextmanager
def _received(url: str | None, file: File | None) -> Iterator[tuple[File, bool]]:
    """Yield the sent or fetched file, and whether it was fetched."""
    if file is not None:
        yield file, False
        return
    if url is None:
        raise UserError("Give the video as a url or as a file.")
    with file_storage.fetched(url) as fetched:
        yield fetched, True


def _probe(file: File) -> VideoInfo:
    """Decode the first frames. Raises ``NotAVideo`` and other errors of ``videos.decode``."""
    file.seek(0)
    source = _place_of(file) or cast(BinaryIO, file)
    with decode(source, conf.probe_limits(), long_side=PROBE_SIDE) as video:
        # Video containers may hold still pictures. If the header gives more than one frame, do not
        # wait for frames: a different one may come late.
        wanted = 0 if (video.info.frames or 0) > 1 else 2
        if len(list(islice(video, wanted))) < wanted:
            raise NotAVideo(SINGLE_PICTURE)
        return video.info


def _place_of(file: File) -> Path | None:
    """Return the path of a file on this machine; None if it is only in memory."""
    name = getattr(file.file, "name", None)
    place = Path(name) if isinstance(name, str) else None
    return place if place is not None and place.is_file() else None


def _store(video: Video, file: File, *, by: str) -> Video:
    with files_of_items.undo_files() as files, transaction.atomic():
        insert(video)
        video.original = files.add(file_storage.save_original(video.sha256, file))
        video.save(update_fields=["original"])
        notify_changed(by=by, verb="added", row=video, after=video.status)
        indexing.enqueue([video.pk])
    return video
