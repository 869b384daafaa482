"""Import many pictures: a pool of processes prepares them, this process stores them in batches.

The processes are spawned, not forked, so they inherit no database connection. If a picture kills
its process, the batch is tried again one by one, and only that picture fails.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from gallery.imaging import descriptors
from gallery.imaging.decoding.sniffing import sniff
from gallery.items import conf, embedding, file_storage
from gallery.items.fingerprint_storage import store_many, store_other_views
from gallery.items.import_sources import Place, Source
from gallery.items.inserting import AlreadyStored, insert, new_item
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.items.preprocessing import (
    HEAD_BYTES,
    NO_PICTURE,
    Plan,
    Prepared,
    prepare,
    start,
)
from gallery.items.publishing import publish
from gallery.items.signals import batch_notifications, notify_changed
from gallery.net.s3 import BucketObject
from gallery.shared.interrupts import interrupted_later

IMAGES_PER_BATCH = 32
ANALYZE_FROM = 1000
"""After this many new images, the planner's statistics are updated at once."""
KILLED_PROCESS = "Describing this picture ended its process. Re-encode the file and add it again."


@dataclass(frozen=True)
class ImportOutcome:
    """``held``: added, but quarantined by a publishing gate. ``exists``: stored already."""

    source: Source
    kind: Literal["added", "held", "exists", "skipped", "failed"]
    reason: str = ""


def import_images(
    *, sources: Iterable[Source], by: str, workers: int, embed: bool = False
) -> Iterator[ImportOutcome]:
    """Add pictures, one transaction per batch. A picture that fails does not stop the others.

    Stored pictures are skipped: a link by its text, before it is fetched, and any other by its
    md5, which a bucket often tells before it is read. So an interrupted import is resumed by
    running it again. ``embed`` runs the models here instead of in the workers.
    """
    waiting: deque[tuple[list[Source], Future[list[Prepared | str]]]] = deque()
    added = 0
    rest = iter(sources)
    # CLIP runs in this process, in batches: the processes of the pool have no settings of it.
    also = ["copy"] if embed and descriptors.available("copy") else []
    with _Pool(workers, (*descriptors.PIXELS, *also)) as pool:
        while True:
            while len(waiting) < 2 * workers and (batch := list(islice(rest, IMAGES_PER_BATCH))):
                todo, outcomes = _skip_known(batch)
                yield from outcomes
                if todo:
                    waiting.append((todo, pool.submit([source.place for source in todo])))
            if not waiting:
                break
            todo, future = waiting.popleft()
            prepared = pool.result(future, [source.place for source in todo])
            with interrupted_later():
                outcomes = _store(todo, prepared, by=by, embed=embed)
                added += sum(outcome.kind in ("added", "held") for outcome in outcomes)
                yield from outcomes
    if added >= ANALYZE_FROM:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE gallery_image, gallery_imagefingerprint, gallery_imagedetail")


class _Pool:
    """Processes that prepare pictures. They start with the first batch."""

    def __init__(self, workers: int, match_types: tuple[str, ...]) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._plan = Plan(
            match_types=match_types,
            models=settings.DATA_DIR / "models",
            budget_file=conf.decoding_budget_file(),
            limits=conf.limits(),
            policy=conf.fetch_policy(),
            thumbnail_size=settings.THUMBNAIL_SIZE,
            keep_bytes=settings.KEEP_ORIGINALS != "none"
            or bool(embedding.configured_models() or settings.PUBLISHING_GATES),
            seconds=settings.TASK_TIMEOUT,
        )
        self._prepare = partial(prepare, self._plan)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, places: Sequence[Place]) -> Future[list[Prepared | str]]:
        """Start preparing. Uses a new pool if a picture has killed a process of the last one."""
        if self._pool is not None:
            try:
                return self._pool.submit(self._prepare, places)
            except BrokenProcessPool:
                pass
        self._pool = ProcessPoolExecutor(
            self._workers,
            multiprocessing.get_context("spawn"),
            start,
            (self._plan,),
        )
        return self._pool.submit(self._prepare, places)

    def result(
        self, future: Future[list[Prepared | str]], places: Sequence[Place]
    ) -> list[Prepared | str]:
        """Return the results; if a process died, prepare the places again one by one."""
        try:
            return future.result()
        except BrokenProcessPool:
            return [self._alone(place) for place in places]

    def _alone(self, place: Place) -> Prepared | str:
        try:
            return self.submit([place]).result()[0]
        except BrokenProcessPool:
            return KILLED_PROCESS


def _skip_known(batch: Sequence[Source]) -> tuple[list[Source], list[ImportOutcome]]:
    """Return the sources to prepare, and the outcomes of the others."""
    md5s: dict[str, Source] = {}
    todo, outcomes = [], []
    urls = [source.place for source in batch if isinstance(source.place, str)]
    here = Image.objects.exclude(status=Status.FAILED)
    known = set(here.filter(url__in=urls).values_list("url", flat=True)) if any(urls) else set()
    for source in batch:
        if source.problem:
            outcomes.append(ImportOutcome(source, "failed", source.problem))
        elif isinstance(source.place, str):
            if source.place in known:
                outcomes.append(ImportOutcome(source, "exists"))
            else:
                todo.append(source)
        elif isinstance(found := _md5_of(source, source.place), ImportOutcome):
            outcomes.append(found)
        elif not found:
            todo.append(source)
        elif found in md5s:
            outcomes.append(ImportOutcome(source, "exists"))
        else:
            md5s[found] = source
    known = set(here.filter(md5__in=md5s).values_list("md5", flat=True)) if md5s else set()
    for md5, source in md5s.items():
        if md5 in known:
            outcomes.append(ImportOutcome(source, "exists"))
        else:
            todo.append(source)
    return todo, outcomes


def _md5_of(source: Source, place: Path | BucketObject) -> str | ImportOutcome:
    """Return the md5 of a file, or what a bucket says that it is, "" if it does not."""
    if isinstance(place, BucketObject):
        return place.md5 if place.size <= settings.MAX_UPLOAD_BYTES else _too_large(source)
    return _md5_of_file(source, place)


def _md5_of_file(source: Source, path: Path) -> str | ImportOutcome:
    try:
        if source.found and not path.is_file():  # reading a pipe or a device would never end
            return ImportOutcome(source, "skipped", "This is not a file.")
        with path.open("rb") as stream:
            if source.found and sniff(stream.read(HEAD_BYTES)) is None:
                return ImportOutcome(source, "skipped", NO_PICTURE)
            stream.seek(0)
            if os.fstat(stream.fileno()).st_size > settings.MAX_UPLOAD_BYTES:
                return _too_large(source)
            return hashlib.file_digest(stream, _md5).hexdigest()
    except OSError as error:
        return ImportOutcome(source, "failed", f"The file cannot be read: {error.strerror}.")


def _too_large(source: Source) -> ImportOutcome:
    reason = f"The file has more than the {settings.MAX_UPLOAD_BYTES:,} bytes accepted."
    return ImportOutcome(source, "failed", reason)


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def _store(
    sources: Sequence[Source], prepared: Sequence[Prepared | str], *, by: str, embed: bool
) -> list[ImportOutcome]:
    outcomes: list[ImportOutcome] = []
    candidates: dict[str, tuple[Source, Image, Prepared]] = {}
    for source, result in zip(sources, prepared, strict=True):
        if isinstance(result, str):
            passed_over = source.found and result == NO_PICTURE
            outcomes.append(ImportOutcome(source, "skipped" if passed_over else "failed", result))
        elif result.hashes.md5 in candidates:
            outcomes.append(ImportOutcome(source, "exists"))
        else:
            image = _image(source, result, by)
            candidates[image.md5] = (source, image, result)
    with file_storage.undo_files() as files, transaction.atomic(), batch_notifications():
        new = _insert_all([image for _, image, _ in candidates.values()])
        stored = [candidates.pop(image.md5) for image in new]
        outcomes += [ImportOutcome(source, "exists") for source, _, _ in candidates.values()]
        for _, image, result in stored:
            needed = embedding.missing_models(result.description.columns)
            if result.data and (image.keep_original or needed or settings.PUBLISHING_GATES):
                image.original = files.add(file_storage.save_original(image.sha256, result.data))
            image.thumbnail = files.add(
                file_storage.save_thumbnail(image.sha256, result.description.thumbnail)
            )
        store_many({image.pk: r.description.columns for _, image, r in stored})
        for _, image, result in stored:
            store_other_views(image.pk, result.description.further)
        outcomes += [_publish(source, image, result, by) for source, image, result in stored]
        ids = [image.pk for image in new]
        if not embed:
            embedding.enqueue(ids, embedding.configured_models())
    for name in embedding.configured_models() if embed else []:
        embedding.embed_images(ids, name)
    return outcomes


def _image(source: Source, prepared: Prepared, by: str) -> Image:
    info = prepared.info
    return new_item(
        Image,
        prepared.hashes,
        source.fields,
        by=by,
        fetched=isinstance(source.place, str),
        format=info.format,
        width=info.width,
        height=info.height,
        bytes=prepared.size,
    )


def _insert_all(images: Sequence[Image]) -> list[Image]:
    try:
        with transaction.atomic():
            return Image.objects.bulk_create(images)
    except IntegrityError:
        # At least one is stored: added in the meantime, under another link, or failed before.
        new = []
        for image in images:
            try:
                insert(image)
            except AlreadyStored:
                continue
            new.append(image)
        return new


def _publish(source: Source, image: Image, prepared: Prepared, by: str) -> ImportOutcome:
    notify_changed(by=by, verb="added", row=image, after=image.status)
    original = image.original.name
    spare = not image.keep_original and not embedding.missing_models(prepared.description.columns)
    status = publish(image, by=by, spare=spare)
    if not image.original:
        file_storage.delete_after_commit([original])
    return ImportOutcome(source, "added" if status == Status.READY else "held")
