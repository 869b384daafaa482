"""Import many videos: store each one, then index it in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

from django.conf import settings
from django.core.files.base import File

from gallery.items.import_sources import Source
from gallery.items.importing import ImportOutcome
from gallery.items.inserting import AlreadyStored
from gallery.items.item import Status
from gallery.net.s3 import BucketObject
from gallery.shared.errors import UserError
from videos import conf
from videos.decode.decoder_protocol import ANIMATIONS
from videos.decode.errors import NotAVideo
from videos.decode.sniffing import HEAD_BYTES, sniff
from videos.index import indexing
from videos.items import adding
from videos.models import Video


def import_videos(
    *, sources: Iterable[Source], by: str, progress: Callable[[float], None] | None = None
) -> Iterator[ImportOutcome]:
    """Add and index videos one by one. A video that fails does not stop the others.

    Stored videos are skipped, a link by its text before it is fetched. So an interrupted import
    is resumed by running it again; workers index what was stored but not indexed. ``progress``
    is called with the share, 0..1, of the current video that has been read.
    """
    for source in sources:
        yield _import(source, by, progress)


def _import(source: Source, by: str, progress: Callable[[float], None] | None) -> ImportOutcome:
    if source.problem:
        return ImportOutcome(source, "failed", source.problem)
    try:
        video = _store(source, by)
    except AlreadyStored:
        return ImportOutcome(source, "exists")
    except UserError as error:
        return ImportOutcome(source, "failed", error.message)
    except OSError as error:
        return ImportOutcome(source, "failed", f"The file cannot be read: {error.strerror}.")
    if isinstance(video, ImportOutcome):
        return video
    indexing.index_videos([video.pk], report=progress)
    video.refresh_from_db()
    if video.status == Status.FAILED:
        return ImportOutcome(source, "failed", video.failure)
    return ImportOutcome(source, "held" if video.status == Status.QUARANTINED else "added")


def _store(source: Source, by: str) -> Video | ImportOutcome:
    if isinstance(source.place, str):
        return _fetched(source, by)
    if isinstance(source.place, Path):
        return _read(source, source.place, by)
    return _from_bucket(source, source.place, by)


def _fetched(source: Source, by: str) -> Video | ImportOutcome:
    if Video.objects.exclude(status=Status.FAILED).filter(url=source.fields["url"]).exists():
        return ImportOutcome(source, "exists")
    return adding.add_video(by=by, **source.fields)


def _from_bucket(source: Source, stored: BucketObject, by: str) -> Video | ImportOutcome:
    if stored.md5 and Video.objects.exclude(status=Status.FAILED).filter(md5=stored.md5).exists():
        return ImportOutcome(source, "exists")
    if stored.size > settings.MAX_VIDEO_BYTES:
        reason = f"The file has more than the {settings.MAX_VIDEO_BYTES:,} bytes accepted."
        return ImportOutcome(source, "failed", reason)
    with NamedTemporaryFile() as file:
        stored.read_into(cast(BinaryIO, file), conf.fetch_policy())
        file.flush()
        return _read(source, Path(file.name), by)


def _read(source: Source, path: Path, by: str) -> Video | ImportOutcome:
    if source.found and not path.is_file():  # reading a pipe or a device would never end
        return ImportOutcome(source, "skipped", "This is not a file.")
    with path.open("rb") as stream:
        container = sniff(stream.read(HEAD_BYTES))
        if source.found and container is None:
            return ImportOutcome(
                source, "skipped", "This is not a video in a format that is read here."
            )
        try:
            return adding.add_video(file=File(stream), by=by, **source.fields)
        except NotAVideo as error:
            if source.found and container in ANIMATIONS:
                return ImportOutcome(source, "skipped", error.message)
            raise
