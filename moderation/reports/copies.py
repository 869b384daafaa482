"""Where the gallery shows the picture of a notice: images that are copies of it, and videos."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from gallery.imaging import decoding
from gallery.imaging.decoding.pictures import Picture
from gallery.items import conf, file_storage
from gallery.items.item import Item, Status
from gallery.items.models import Image
from gallery.items.publishing import QueryRefused
from gallery.search import copy_search
from gallery.search.confidence import certainty
from gallery.search.match_types import MATCH_TYPES
from gallery.search.nearest import INCLUSIVE
from gallery.shared.errors import Unavailable
from videos.match.video_search import search_videos
from videos.models import Video

MATCH_TYPE: Final = "auto"
MOST: Final = 100

logger = logging.getLogger(__name__)


def decode(data: bytes) -> Picture:
    """Raise ``NotAnImage`` and ``TooLarge``."""
    return decoding.decode(data, conf.limits())


def of_picture(data: bytes, picture: Picture, sha256: str) -> dict[Item, bool]:
    """Return the items that show the picture → whether that is certain."""
    query = copy_search.describe_query(picture, MATCH_TYPE, sha256=sha256)
    return {**_images(query), **dict(_videos(data))}


def of_image(image: Image) -> dict[Item, bool]:
    """Return the items that show the picture of a stored image, without itself."""
    found: dict[Item, bool] = dict(_images(copy_search.stored_query(image, MATCH_TYPE)))
    if image.original:
        found |= dict(_videos(file_storage.read_original(image)))
    return found


def _images(query: copy_search.CopyQuery) -> dict[Item, bool]:
    threshold = MATCH_TYPES[MATCH_TYPE].default
    matches = copy_search.search_copies(
        query, MATCH_TYPE, threshold=threshold, limit=MOST, filters=None, rule=INCLUSIVE
    )
    return {one.image: certainty(one.distance, MATCH_TYPE) == "sure" for one in matches}


def _videos(data: bytes) -> Iterator[tuple[Item, bool]]:
    if not Video.objects.filter(status=Status.READY).exists():
        return
    try:
        found = search_videos(data=data, limit=MOST)
    except (QueryRefused, Unavailable):
        # A banned picture may not be searched for. Its scans have looked at the videos already.
        logger.info("a notice was not looked for in videos", exc_info=True)
        return
    for match in found.results:
        yield match.video, False
