"""What is screened: a file's hashes and its pictures, from bytes or from what is stored."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from gallery.imaging import decoding
from gallery.imaging import sniffing as picture_sniffing
from gallery.imaging.descriptors.pdq import LOW_QUALITY, to_hex
from gallery.imaging.picture_limits import NotAnImage
from gallery.imaging.shown_pictures import FULL, VIDEO, place_of
from gallery.items import file_storage
from gallery.items.models import Image, ImageFingerprint
from gallery.items.preprocessing import Hashes
from moderation.lists.verdicts import HASH_TYPES
from moderation.screening.matching import View
from moderation.screening.picture_files import PictureFile, hashed_view
from moderation.screening.video_files import NOTHING, stored_views, views_of_file
from videos.decode.sniffing import HEAD_BYTES, sniff
from videos.models import Video


@dataclass(frozen=True, eq=False)
class Content:
    """``hashes``: kind → lower-case hex, of the whole file. ``views``: read once, raising what
    decoding raises, also midway. ``chosen``: read after them, those of them that are compared by
    models, too, where that are not all. ``doubts``: why colours cannot be relied upon, known when
    all is read."""

    hashes: Mapping[str, str]
    views: Iterable[View]
    chosen: Iterable[View] = ()
    doubts: Sequence[str] = ()


def of_bytes(data: bytes) -> Content:
    """A file of a picture or an animation, or a video that is small enough to be in memory."""
    hashes = vars(Hashes.of(data))
    if picture_sniffing.sniff(data) is not None:
        return _of_picture(hashes, data)
    return Content(hashes, views_of_file(io.BytesIO(data)))


def of_hash(kind: str, value: str, quality: int | None = None) -> Content:
    """Nothing but a hash, in lower-case hex, with its quality if it is a pdq and that is known."""
    if kind in HASH_TYPES:
        return Content({kind: value}, ())
    good = quality is None or quality >= LOW_QUALITY
    hashes = [bytes.fromhex(value)] if good else []
    return Content({}, [View(NOTHING, NOTHING, hashes, quality)])


def of_image(image: Image) -> Content:
    """An image of the gallery: its original, else what is left of it."""
    hashes = {kind: getattr(image, kind) for kind in HASH_TYPES}
    if image.original:
        try:
            return _of_picture(hashes, file_storage.read_original(image))
        except FileNotFoundError:
            pass
    return Content(hashes, _left_of(image))


def of_video(video: Video) -> Content:
    """A video that is indexed: the pictures that were stored, turned as its small copy shows."""
    hashes = {kind: getattr(video, kind) for kind in HASH_TYPES}
    return Content(hashes, stored_views(video))


def _of_picture(hashes: Mapping[str, str], data: bytes) -> Content:
    file = PictureFile(data)
    moving = _motion(data)
    return Content(hashes, chain(file.views(), moving), file.chosen(), file.doubts)


def _motion(data: bytes) -> Iterator[View]:
    """The video at the end of a photograph that moves, or the pictures of a HEIC that does."""
    video = data if sniff(data[:HEAD_BYTES]) == "heics" else decoding.appended_video(data)
    for view in views_of_file(io.BytesIO(video)) if video else ():
        yield replace(view, rendering=VIDEO)


def _left_of(image: Image) -> Iterator[View]:
    """The thumbnail, with the hash and the vectors that were made of the original.

    Raises ``NotAnImage`` where there is none.
    """
    rgb = file_storage.thumbnail_rgb(image)
    if rgb is None:
        raise NotAnImage("Neither the original nor the thumbnail is stored any more.")
    whole = hashed_view(rgb, rgb, in_parts=True)
    # What was made of the original; the thumbnail's own hashes are a few bits off.
    rows = list(ImageFingerprint.objects.filter(item=image, pdq__isnull=False).order_by("id"))
    still = not any(place_of(row.view)[0] for row in rows)
    for row in rows:
        own = [_packed(row.pdq)] if row.pdq and (row.pdq_quality or 0) >= LOW_QUALITY else []
        frame, rendering = place_of(row.view)
        if row.view == FULL:
            whole = replace(whole, hashes=[*own, *whole.hashes], quality=row.pdq_quality)
        else:
            place = None if still else frame
            yield View(NOTHING, NOTHING, own, row.pdq_quality, frame=place, rendering=rendering)
    yield whole


def _packed(bits: str) -> bytes:
    return bytes.fromhex(to_hex(bits))
