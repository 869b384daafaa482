"""Add images: receive or fetch, check, hash; store row, file and task in one transaction."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Unpack

from django.conf import settings
from django.db import transaction

from gallery.imaging import decoding
from gallery.imaging.decoding.pictures import ReadFile
from gallery.imaging.descriptors.base import FlatPicture
from gallery.items import conf, describing, embedding, file_storage, versions
from gallery.items.inserting import (
    AlreadyStored,
    ItemFields,
    insert,
    new_item,
    refuse_existing,
)
from gallery.items.models import Image
from gallery.items.preprocessing import (
    FETCH_THREADS,
    Description,
    Hashes,
    describe_file,
)
from gallery.items.signals import batch_notifications, notify_changed
from gallery.net.fetching import fetch
from gallery.shared.backlog import refuse_if_full
from gallery.shared.errors import UserError

__all__ = ["AlreadyStored", "add_batch", "add_image"]

CLUSTERS = ("light", "embed")
"""Whose workers describe images."""
MAX_BATCH_SECONDS = 45.0
TOO_SLOW = "The pictures before this one took too long to fetch; send it in another batch."


def add_image(
    *,
    by: str,
    url: str | None = None,
    data: bytes | None = None,
    fetched: bool = False,
    inline: Collection[str] = (),
    refuse_flat: bool = False,
    **fields: Unpack[ItemFields],
) -> Image:
    """Add one image from ``url``, or from ``data`` (then ``url`` is only stored).

    ``fetched`` means that ``data`` was read from ``url``; ``KEEP_ORIGINALS`` treats that
    differently from an upload. The new row is ``pending`` and its description is queued. With
    ``inline``, these match types, if available, describe the image and it is published before
    this returns; other models are queued. ``refuse_flat`` refuses an image without an imgsmlr
    pattern and stores nothing (the legacy API's rule).

    Raises ``FetchFailed``, ``NotAnImage``, ``TooLarge``, ``FlatPicture``, and ``AlreadyStored``
    for bytes that are stored already. A failed image with the same bytes is tried again instead.
    Raises ``BacklogFull`` while the workers are too far behind.
    """
    refuse_if_full(CLUSTERS)
    if data is None:
        fetched = True
        if url is None:
            raise UserError("Give the picture as a url or as a file.")
        data = fetch(url, conf.fetch_policy()).data
    hashes = Hashes.of(data)
    refuse_existing(Image, hashes.md5)
    picture = decoding.decode(data, conf.limits())
    file = ReadFile(data, picture)
    description = _describe(file, inline, refuse_flat) if inline else None
    info = picture.info
    image = new_item(
        Image,
        hashes,
        {**fields, "url": url},
        by=by,
        fetched=fetched,
        format=info.format,
        width=info.width,
        height=info.height,
        bytes=len(data),
    )
    complete = bool(inline) and not set(embedding.configured_models()) - set(inline)
    return _store(image, file, description, keep=image.keep_original or not complete, by=by)


def add_batch(
    *, items: Sequence[Mapping[str, Any]], by: str, client: str = ""
) -> list[Image | UserError]:
    """Add images by URL and return an image or an error for each, in the order of ``items``.

    ``items`` are keyword arguments of ``add_image``. URLs are fetched in parallel. Images not
    begun within ``MAX_BATCH_SECONDS`` are refused, so that slow hosts do not hold up the
    request. Raises ``BacklogFull``.
    """
    refuse_if_full(CLUSTERS)
    until = time.monotonic() + MAX_BATCH_SECONDS

    def fetch_one(item: Mapping[str, Any]) -> bytes | UserError:
        try:
            return fetch(item["url"], conf.fetch_policy()).data
        except UserError as error:
            return error

    def add_one(item: Mapping[str, Any], data: bytes | UserError) -> Image | UserError:
        if isinstance(data, UserError):
            return data
        try:
            return add_image(**{**item, "data": data}, by=by, client=client, fetched=True)
        except UserError as error:
            return error

    outcomes: list[Image | UserError] = []
    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        # Fetch a few at a time: a pool that runs ahead would hold a whole batch of files in memory.
        for start in range(0, len(items), FETCH_THREADS):
            some = items[start : start + FETCH_THREADS]
            if time.monotonic() > until:
                outcomes += [UserError(TOO_SLOW, code="batch_timeout") for _ in some]
                continue
            outcomes += map(add_one, some, pool.map(fetch_one, some))
    return outcomes


def _describe(file: ReadFile, match_types: Collection[str], refuse_flat: bool) -> Description:
    kinds = [kind for name in match_types for kind in versions.written(name)]
    description = describe_file(file, kinds, conf.limits(), settings.THUMBNAIL_SIZE)
    if refuse_flat and not description.has("pattern"):
        raise FlatPicture
    return description


def _store(
    image: Image, file: ReadFile, description: Description | None, *, keep: bool, by: str
) -> Image:
    """``keep``: keep the original, for good or for a worker. Publishing gates need it too."""
    with file_storage.undo_files() as files, transaction.atomic(), batch_notifications():
        insert(image)
        if keep or settings.PUBLISHING_GATES:
            image.original = files.add(file_storage.save_original(image.sha256, file.data))
        notify_changed(by=by, verb="added", row=image, after=image.status)
        if description is None:
            image.save(update_fields=["original"])
            describing.enqueue([image.pk])
        else:
            image.in_hand = file
            describing.complete(image, description, files, by=by)
    return image
