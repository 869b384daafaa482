"""The content to screen: a file's hashes and frames, from bytes or from stored data."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from gallery.imaging import decoding
from gallery.imaging.decoding import sniffing as picture_sniffing
from gallery.imaging.decoding.limits import NotAnImage
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.decoding.rendered_pictures import FULL_VIEW, VIDEO_VIEW, parse_view
from gallery.imaging.descriptors.pdq import LOW_QUALITY, to_hex
from gallery.items import file_storage
from gallery.items.item import Item
from gallery.items.models import Image, ImageFingerprint
from gallery.items.preprocessing import Hashes
from gallery.shared.errors import StorageAway
from moderation.lists.verdicts import HASH_TYPES
from moderation.screening.picture_frames import PictureFile, hashed_frame
from moderation.screening.types import NO_PIXELS, ContentFrame
from moderation.screening.video_frames import frames_of_file, stored_frames
from videos.decode.sniffing import HEAD_BYTES, sniff
from videos.models import Video


@dataclass(frozen=True, eq=False)
class Content:
    """``hashes``: kind → lower-case hex, of the whole file.

    ``frames``: can be read once; iterating raises decoding errors, also midway. ``chosen``: the
    frames that models compare, if these are not all frames; read them after ``frames``. ``doubts``:
    why viewers may show other colours; complete only after everything is read.
    """

    hashes: Mapping[str, str]
    frames: Iterable[ContentFrame]
    chosen: Iterable[ContentFrame] = ()
    doubts: Sequence[str] = ()

    def __str__(self) -> str:
        return "content that is not stored"


def of_bytes(data: bytes) -> Content:
    """Return the content of a picture, an animation, or a video small enough to be in memory."""
    hashes = vars(Hashes.of(data))
    if picture_sniffing.sniff(data) is not None:
        return _of_picture(hashes, data)
    return Content(hashes, frames_of_file(io.BytesIO(data)))


def of_hash(kind: str, value: str, quality: int | None = None) -> Content:
    """Return the content of a hash alone, in lower-case hex. ``quality``: of a pdq, if known."""
    if kind in HASH_TYPES:
        return Content({kind: value}, ())
    good = quality is None or quality >= LOW_QUALITY
    hashes = [bytes.fromhex(value)] if good else []
    return Content({}, [ContentFrame(NO_PIXELS, NO_PIXELS, hashes, quality)])


def of_item(item: Item) -> Content:
    if isinstance(item, Image):
        return _of_image(item)
    if isinstance(item, Video):
        # The stored frames, turned as in the small copy.
        return Content(item.known_hashes, stored_frames(item))
    raise TypeError(f"a {type(item).__name__} cannot be screened")


def _of_image(image: Image) -> Content:
    hashes = image.known_hashes
    if image.in_hand:
        return _of_picture(hashes, image.in_hand.data, image.in_hand.picture)
    if image.original:
        try:
            return _of_picture(hashes, file_storage.read_original(image))
        except FileNotFoundError:
            pass
        except StorageAway as error:
            return Content(hashes, _raising(error))
    if not image.thumbnail and image.media_deleted_at is None:
        # Moved in without its file: there is nothing but what is stored of it.
        return Content(hashes, (frame for frame, _ in _stored_hashes_of_frames(image)))
    return Content(hashes, _left_of(image))


def _of_picture(hashes: Mapping[str, str], data: bytes, first: Picture | None = None) -> Content:
    file = PictureFile(data, first)
    moving = _motion(data)
    return Content(hashes, chain(file.frames(), moving), file.chosen(), file.doubts)


def _motion(data: bytes) -> Iterator[ContentFrame]:
    """Yield the video at the end of a motion photo, or the frames of a HEIC sequence."""
    video = data if sniff(data[:HEAD_BYTES]) == "heics" else decoding.appended_video(data)
    for frame in frames_of_file(io.BytesIO(video)) if video else ():
        yield replace(frame, rendering=VIDEO_VIEW)


def _raising(error: Exception) -> Iterator[ContentFrame]:
    raise error
    yield  # makes it an iterator


def _left_of(image: Image) -> Iterator[ContentFrame]:
    """Yield the thumbnail, with the hashes of the original.

    Raises ``NotAnImage`` if there is no thumbnail.
    """
    rgb = file_storage.thumbnail_rgb(image)
    if rgb is None:
        raise NotAnImage("Neither the original nor the thumbnail is stored.")
    whole = hashed_frame(rgb, rgb, in_parts=True)
    # Use the hashes of the original: those of the thumbnail differ by a few bits.
    for frame, view in _stored_hashes_of_frames(image):
        if view == FULL_VIEW:
            whole = replace(whole, hashes=[*frame.hashes, *whole.hashes], quality=frame.quality)
        else:
            yield frame
    yield whole


def _stored_hashes_of_frames(image: Image) -> Iterator[tuple[ContentFrame, str]]:
    """Yield the stored hashes of each picture in the file, and the view."""
    rows = list(ImageFingerprint.objects.filter(item=image, pdq__isnull=False).order_by("id"))
    still = not any(parse_view(row.view)[0] for row in rows)
    for row in rows:
        own = (
            [bytes.fromhex(to_hex(row.pdq))]
            if row.pdq and (row.pdq_quality or 0) >= LOW_QUALITY
            else []
        )
        number, rendering = parse_view(row.view)
        frame = ContentFrame(
            NO_PIXELS,
            NO_PIXELS,
            own,
            row.pdq_quality,
            frame=None if still else number,
            rendering=rendering,
        )
        yield frame, row.view
