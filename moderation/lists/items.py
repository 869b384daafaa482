"""Items of lists: added from hashes, pictures, images and videos; then see ``item_changes``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files.base import File
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db.models import QuerySet

from gallery.imaging.picture_limits import TooLarge
from gallery.imaging.sniffing import sniff
from gallery.items.models import Image
from gallery.net.fetching import fetch_into
from gallery.shared.errors import NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.lists import entries
from moderation.lists.entries import Entry, InvalidHash
from moderation.lists.item_changes import (
    activate,
    change_item,
    give_opinion,
    lift_suspension,
    move,
    retire,
    suspend,
)
from moderation.lists.item_storing import FACTS, Added, add
from moderation.lists.models import BannedItem
from videos import conf as video_conf
from videos.models import Video

__all__ = [
    "FACTS",
    "Added",
    "InvalidHash",
    "activate",
    "add_batch",
    "add_file",
    "add_hashes",
    "add_image",
    "add_images",
    "add_link",
    "add_picture",
    "add_video",
    "add_videos",
    "change_item",
    "give_opinion",
    "lift_suspension",
    "move",
    "retire",
    "suspend",
]

HEAD = 4096
"""Bytes that tell a picture from another file."""


def add_hashes(
    *,
    by: Actor,
    list_id: int,
    hashes: Iterable[tuple[str, str, int | None]],
    reason: str = "",
    **facts: Any,
) -> BannedItem:
    """Add an item of which nothing but hashes is known: (kind, hex, quality of a pdq or None).

    ``facts``: some of ``FACTS``. Raises ``NotAllowed``, ``NotFound``, ``InvalidHash``, and
    ``Conflict`` if the list has an item with all of these hashes.
    """
    check(by, "edit items")
    return _add_one(by, list_id, entries.of_hashes(hashes, facts), reason)


def add_batch(
    *, by: Actor, list_id: int, rows: Sequence[Mapping[str, Any]], reason: str = ""
) -> Added:
    """Add many items by hash, each one succeeding or failing alone.

    Each row has ``hashes`` and facts, as ``add_hashes`` takes them. Raises ``NotAllowed`` and
    ``NotFound``.
    """
    check(by, "edit items")
    made: list[Entry | UserError] = []
    for row in rows:
        facts = dict(row)
        try:
            made.append(entries.of_hashes(facts.pop("hashes"), facts))
        except UserError as error:
            made.append(error)
    return add(by=by, list_id=list_id, made=made, reason=reason)


def add_picture(
    *, by: Actor, list_id: int, data: bytes, reason: str = "", **facts: Any
) -> BannedItem:
    """Add a picture's file: its hashes, and unless the list is hash-only, what it looks like.

    Every distinct frame of an animation counts. Raises ``NotAllowed``, ``NotFound``,
    ``NotAnImage``, ``TooLarge``, and ``Conflict`` for a file that is on the list.
    """
    check(by, "edit items")
    return _add_one(by, list_id, entries.of_bytes(data, facts), reason)


def add_image(
    *, by: Actor, list_id: int, image_id: int, reason: str = "", **facts: Any
) -> BannedItem:
    """Add an image of the gallery, which stays where it is. Raises as ``add_picture`` does."""
    check(by, "edit items")
    image = Image.objects.filter(pk=image_id).first()
    if image is None:
        raise NotFound(f"There is no image {image_id}.", field="image_id")
    return _add_one(by, list_id, entries.of_image(image, facts), reason)


def add_images(
    *, by: Actor, list_id: int, images: QuerySet[Image], reason: str = "", **facts: Any
) -> Added:
    """Add images of the gallery, each one succeeding or failing alone, as one command."""
    check(by, "edit items")
    made = [_attempt(entries.of_image, one, facts) for one in images]
    return add(by=by, list_id=list_id, made=made, reason=reason)


def add_file(*, by: Actor, list_id: int, file: File, reason: str = "", **facts: Any) -> BannedItem:
    """Add a file: a picture as ``add_picture`` does, anything else as a video, read whole at once.

    Of a video's pictures those count that are distinct and sharp enough. Raises ``NotAllowed``,
    ``NotFound``, ``NotAnImage``, ``NotAVideo``, ``TooLarge``, ``Unavailable`` where a video needs
    a model that is missing, and ``Conflict`` for a file that is on the list.
    """
    check(by, "edit items")
    return _add_one(by, list_id, _of_file(file, facts), reason)


def add_link(*, by: Actor, list_id: int, url: str, reason: str = "", **facts: Any) -> BannedItem:
    """The same of what lies at an address. Raises ``FetchFailed`` as well."""
    check(by, "edit items")
    with TemporaryUploadedFile("fetched", "", 0, None) as fetched:
        fetch_into(cast(BinaryIO, fetched), url, video_conf.fetch_policy())
        fetched.size = fetched.tell()
        fetched.flush()
        return _add_one(by, list_id, _of_file(fetched, facts), reason)


def add_video(
    *, by: Actor, list_id: int, video_id: int, reason: str = "", **facts: Any
) -> BannedItem:
    """Add a video that is indexed here, which stays where it is.

    Raises ``NotAllowed``, ``NotFound``, and ``Conflict`` for one that is on the list or not
    indexed.
    """
    check(by, "edit items")
    video = Video.objects.filter(pk=video_id).first()
    if video is None:
        raise NotFound(f"There is no video {video_id}.", field="video_id")
    return _add_one(by, list_id, entries.of_video(video, facts), reason)


def add_videos(
    *, by: Actor, list_id: int, videos: QuerySet[Video], reason: str = "", **facts: Any
) -> Added:
    """Add videos that are indexed here, each succeeding or failing alone, as one command."""
    check(by, "edit items")
    made = [_attempt(entries.of_video, one, facts) for one in videos]
    return add(by=by, list_id=list_id, made=made, reason=reason)


def _of_file(file: File, facts: dict[str, Any]) -> Entry:
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if sniff(head) is None:
        return entries.of_file(file, facts)
    if file.size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(
            f"The picture has {file.size:,} bytes, more than the {settings.MAX_UPLOAD_BYTES:,} "
            "accepted; add a smaller version, or its hashes."
        )
    return entries.of_bytes(file.read(), facts)


def _attempt(read: Any, subject: Image | Video, facts: dict[str, Any]) -> Entry | UserError:
    try:
        entry: Entry = read(subject, dict(facts))
    except UserError as error:
        return error
    return entry


def _add_one(by: Actor, list_id: int, entry: Entry, reason: str) -> BannedItem:
    added = add(by=by, list_id=list_id, made=[entry], reason=reason)
    if added.refused:
        raise added.refused[0]
    return added.items[0]
