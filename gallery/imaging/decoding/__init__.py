"""Decodes untrusted files into pictures.

1. ``limits`` checks the size of the file.
2. ``sniffing`` chooses one format by the magic bytes; no other reader is tried.
3. ``opening`` opens the file with Pillow; ``containers`` reads what Pillow does not tell or gets
   wrong. Size, frames and scans are checked before a pixel is decoded.
4. ``pictures`` decodes a frame. ``layers`` separates colours and transparency, ``colour`` converts
   to sRGB (``icc_profiles``, ``matrix_profiles``).
5. ``embedded_pictures`` decodes second pictures and previews in the file.
6. ``rendered_pictures`` yields each picture in every way that a viewer may show it, with its name.

Any error of a reader on a damaged file becomes ``NotAnImage``. A decoder can still use much time
within the limits, so the process that calls it needs limits of time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from gallery.imaging.decoding.containers import boxes, jpeg
from gallery.imaging.decoding.embedded_pictures import embedded_pictures
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, check_bytes
from gallery.imaging.decoding.opening import OpenedFile, open_file
from gallery.imaging.decoding.pictures import ImageInfo, Picture
from gallery.imaging.decoding.sniffing import sniff, why_unknown

_ANIMATED: Final = frozenset({"gif", "webp", "png", "avif"})
_IGNORED_MS: Final = 10
_DEFAULT_MS: Final = 100
Place = Literal["full", "frame", "picture", "thumbnail"]


@dataclass(frozen=True, slots=True)
class FilePicture:
    """A picture of a file, as some viewers show it.

    ``place``: ``full`` is the first picture, ``frame`` a later frame or page, ``picture`` another
    picture of the file, ``thumbnail`` its embedded preview. ``number``: from 0; pictures that are
    left out are counted, too. ``duration_ms``: how long a frame is shown.
    """

    picture: Picture
    place: Place
    number: int
    duration_ms: int | None = None


def inspect(data: bytes, limits: PictureLimits) -> ImageInfo:
    """Read format, size and frame count from the headers. Raises NotAnImage, TooLarge."""
    return _open(data, limits).info


def decode(data: bytes, limits: PictureLimits) -> Picture:
    """Decode the first picture. Raises NotAnImage (also if the file ends early), TooLarge."""
    return _open(data, limits).load(0, limits)


def file_pictures(
    data: bytes, limits: PictureLimits, *, first: Picture | None = None
) -> Iterator[FilePicture]:
    """Yield all pictures that viewers show of a file, the primary one first.

    These are the frames or pages that differ from the one before, further pictures, and embedded
    previews. Further pictures and previews are left out if they are damaged or look like an earlier
    one. ``first``: the result of ``decode``, so that a still is not decoded again. Raises
    NotAnImage and TooLarge, also after some pictures.
    """
    file = _open(data, limits)
    if file.info.frames == 1:
        primary = first or file.load(0, limits)
        yield FilePicture(primary, "full", 0)
    else:
        frames = _frames(file, limits)
        pending = next(frames)
        primary = pending.picture
        yield pending
        yield from frames
    yield from _others(file, primary, limits)


def appended_video(data: bytes) -> bytes | None:
    """Return the MP4 clip of a motion photo, None if there is none."""
    format = sniff(data)
    if format == "heic":
        return boxes.motion_clip(data)
    if format != "jpeg" or (end := jpeg.read(data).end) is None:
        return None
    start = boxes.find_file(data, end)
    return None if start is None else data[start:]


def _open(data: bytes, limits: PictureLimits) -> OpenedFile:
    check_bytes(data, limits)
    format = sniff(data)
    if format is None:
        raise NotAnImage(why_unknown(data))
    return open_file(format, data, limits)


def _frames(file: OpenedFile, limits: PictureLimits) -> Iterator[FilePicture]:
    """Yield each frame that differs from the one before; equal frames add to its duration."""
    pending: FilePicture | None = None
    for number in range(file.info.frames):
        picture = file.load(number, limits)
        duration = _duration(picture)
        if pending is not None and pending.picture.is_identical_to(picture):
            both = (pending.duration_ms or 0) + (duration or 0)
            pending = replace(pending, duration_ms=both or None)
            continue
        if pending is not None:
            yield pending
        place: Place = "picture" if file.info.format == "heic" else "frame"
        pending = FilePicture(picture, place if number else "full", number, duration)
    if pending is not None:
        yield pending


def _duration(picture: Picture) -> int | None:
    """None for pages. As in browsers, durations up to 10 ms become 100 ms."""
    if picture.info.format not in _ANIMATED:
        return None
    stated = picture.header_value("duration")
    if isinstance(stated, int | float) and stated > _IGNORED_MS:
        return round(stated)
    return _DEFAULT_MS


def _others(file: OpenedFile, primary: Picture, limits: PictureLimits) -> Iterator[FilePicture]:
    seen = [primary]
    for number, other in enumerate(embedded_pictures(file, primary, limits), file.info.frames):
        if not any(other.picture.is_similar_to(one) for one in seen):
            seen.append(other.picture)
            yield FilePicture(other.picture, other.place, number)
